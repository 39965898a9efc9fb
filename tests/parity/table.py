"""Formats benchmarks/parity.md, and pages with one table in general."""

import dataclasses
import subprocess

from inception_jax.runtime import hardware
from inception_jax.weights import sources
from tests.parity import cases

# Kind of difference → column, bound. A file that is imported and exported again
# must give identical logits.
BOUNDS = {
  'eval': ('eval', cases.LOGITS),
  'train': ('train', cases.LOGITS),
  'aux': ('aux', cases.LOGITS),
  'gradient': ('gradient', cases.GRADIENTS),
  'back': ('round trip', 0.0),
  'mindir': ('as MINDIR', cases.LOGITS),
}
_PACKAGES = ('jax', 'flax', 'numpy', 'torch', 'torchvision', 'timm', 'keras')
_PACKAGES += ('tensorflow-cpu', 'tf-slim', 'tf-object-detection')
_PACKAGES += ('mindspore', 'mindcv', 'atheris', 'pytorch-fid')
_PACKAGES += ('torch-fidelity', 'pytorch-lightning', 'clean-fid', 'prdc')
_EXPLAINED = """\
Both frameworks have the same weights: a formula computes them from the tensors'
names, and they are imported from a file of the other framework. Differences are
relative: for logits, the largest difference over the largest logit; for the
gradient of the loss, the norm of the difference over the norm, all tensors
together. In `train`, BatchNorm uses the batch's statistics. Two columns have no
bound: the gradient's worst tensor, and the change of our own gradient when
every pixel moves to the next float32 (a max pool passes the gradient to the
larger of two numbers that may differ only by rounding). A round trip is import
→ evaluate → export → load in the other framework, with every tensor matched;
its logits must be the same bit for bit. A MINDIR also contains the graph, with
BatchNorm folded, hence other rounding; its logits are compared with those of
the other framework.
"""


@dataclasses.dataclass(frozen=True)
class Row:
  """One comparison.

  Attributes:
    source: the framework and its network.
    size: of the images.
    how: 'live', 'golden', or a description of the round trip.
    differences: kind → relative difference. Two kinds have no bound: 'tensor',
      of the gradient's worst tensor, and 'rounding', see `compare.differences`.
  """

  source: sources.Source
  size: int
  how: str
  differences: dict[str, float]


def over(row: Row) -> list[str]:
  """Returns the kinds whose difference exceeds the bound or is NaN."""
  return [
    kind
    for kind, (_, bound) in BOUNDS.items()
    if kind in row.differences and not row.differences[kind] <= bound
  ]


def line(row: Row) -> str:
  """Formats a row of the table."""
  exceeded = over(row)

  def cell(kind):
    if kind not in row.differences:
      return '–'
    difference = row.differences[kind]
    text = f'{difference:.1e}' if difference else '0'
    return f'**{text}**' if kind in exceeded else text

  cells = [
    row.source.network_name,
    row.source.framework,
    f'{row.size}²',
    row.how,
    *map(cell, BOUNDS),
    cell('tensor'),
    cell('rounding'),
    'OVER' if exceeded else 'ok',
  ]
  return f'| {" | ".join(cells)} |'


def write(
  command: str, rows: list[Row], notes: list[str], pythons: list[str]
) -> str:
  """Returns the page, with the versions of the environments `pythons`."""
  bounds = '; '.join(f'{column} {bound:g}' for column, bound in BOUNDS.values())
  columns = ['network', 'source', 'size', 'how']
  columns += [column for column, _ in BOUNDS.values()]
  columns += ['worst tensor', 'rounding', '']
  return page(
    '# Parity with other frameworks',
    f'`{command}` on {hardware.machine()}, in float32.',
    f'{_EXPLAINED}\nBounds: {bounds}.',
    columns,
    [*map(line, rows)],
    [*notes, *map(versions, pythons)],
  )


def page(
  title: str,
  command: str,
  explained: str,
  columns: list[str],
  lines: list[str],
  notes: list[str],
) -> str:
  """Returns a page with one table; `lines` are its formatted rows."""
  return '\n'.join(
    [
      title,
      '',
      command,
      '',
      explained,
      '',
      f'| {" | ".join(columns)} |',
      f'|{"---|" * len(columns)}',
      *lines,
      '',
      *(f'- {text}' for text in notes),
      '',
    ]
  )


def versions(python: str) -> str:
  """Returns the versions of an environment's Python and packages, in a line."""
  program = (
    'import importlib.metadata as m, platform\n'
    'print("Python", platform.python_version(), end="")\n'
    'for d in sorted(m.distributions(), key=lambda d: d.name.lower()):\n'
    f'  if d.name.lower().replace("_", "-") in {_PACKAGES}:\n'
    '    print(",", d.name, d.version, end="")\n'
  )
  return subprocess.check_output([python, '-c', program], text=True)

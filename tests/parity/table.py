"""The table of `make parity`: rows, bounds, and what they were measured on."""

import dataclasses
import subprocess

from inception_jax.runtime import hardware
from inception_jax.weights import sources
from tests.parity import cases

# Kind of difference → column, bound. A file that goes out and comes back must
# give the same numbers, not nearly the same.
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
_PACKAGES += ('mindspore', 'mindcv')
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
its logits must be the same bit for bit. A MINDIR also contains the graph, which
MindSpore compiles as a whole and may round in another order.
"""


@dataclasses.dataclass(frozen=True)
class Row:
  """A comparison.

  Attributes:
    source: whose network.
    size: of the images.
    how: 'live', 'golden', or what a round trip says.
    found: kind → difference; without a bound 'tensor', the gradient's
      difference in the worst of its tensors, and 'rounding', what
      `compare.differences` measures by that name.
  """

  source: sources.Source
  size: int
  how: str
  found: dict[str, float]


def over(row: Row) -> list[str]:
  """The kinds of which `row` is over the bound; NaN is over any."""
  return [
    kind
    for kind, (_, bound) in BOUNDS.items()
    if kind in row.found and not row.found[kind] <= bound
  ]


def line(row: Row) -> str:
  """A line of the table."""
  missed = over(row)

  def cell(kind):
    if kind not in row.found:
      return '–'
    text = f'{row.found[kind]:.1e}' if row.found[kind] else '0'
    return f'**{text}**' if kind in missed else text

  cells = [
    row.source.network_name,
    row.source.framework,
    f'{row.size}²',
    row.how,
    *map(cell, BOUNDS),
    cell('tensor'),
    cell('rounding'),
    'OVER' if missed else 'ok',
  ]
  return f'| {" | ".join(cells)} |'


def write(
  command: str, rows: list[Row], notes: list[str], pythons: list[str]
) -> str:
  """The page: what was run, on what, and the table."""
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
  """A page with one table."""
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
  """Of an environment's Python and packages, in one line."""
  program = (
    'import importlib.metadata as m, platform\n'
    'print("Python", platform.python_version(), end="")\n'
    'for d in sorted(m.distributions(), key=lambda d: d.name.lower()):\n'
    f'  if d.name.lower().replace("_", "-") in {_PACKAGES}:\n'
    '    print(",", d.name, d.version, end="")\n'
  )
  return subprocess.check_output([python, '-c', program], text=True)

"""A self-contained HTML page about one or more runs."""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import os
from typing import Any

from inception_jax.errors import UserError
from inception_jax.report import templates
from inception_jax.report.figures import Figure

_ABSENT = '—'


@dataclasses.dataclass
class Run:
  """Contents of a page about one run.

  Attributes:
    recipe: its name; '' if the run has not recorded it.
    split: that was evaluated.
    config: (key, value) pairs, with keys such as 'data.source'.
    versions: of the libraries it was trained with, and its 'devices'.
    duration: of its training steps, as people write it; '' if unknown.
    goodput: what its time went to, in a line; '' if unknown.
    scores: 'step' and the scores of `Evaluation`; {} if there are none.
    interval: 95 % confidence interval of top-1.
    first_batch: images as the network sees them, each 'picture' (a data: URL)
      and 'labels', (class name, weight); empty if the report did not look.
    confusion: the confusion matrix; empty, as the fields below, if the report
      did not evaluate the run.
    confused_pairs: see `mistakes.confused_pairs`.
    classes: see `predictions.by_class`; and 'taken_for', see
      `mistakes.taken_for`.
    mistakes: see `mistakes.worst`.
    pixelated: whether pictures are enlarged without smoothing.
  """

  name: str
  recipe: str
  network: str
  source: str
  split: str
  config: Sequence[tuple[str, Any]]
  versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
  duration: str = ''
  goodput: str = ''
  scores: Mapping[str, float] = dataclasses.field(default_factory=dict)
  interval: tuple[float, float] = (0.0, 1.0)
  first_batch: Sequence[dict[str, Any]] = ()
  confusion: Sequence[Figure] = ()
  confused_pairs: Sequence[dict[str, Any]] = ()
  classes: Sequence[dict[str, Any]] = ()
  mistakes: Sequence[dict[str, Any]] = ()
  pixelated: bool = False

  @property
  def title(self) -> str:
    """The recipe and the network, or else the network and its data."""
    if self.recipe and self.recipe != self.network:
      return f'{self.recipe}: {self.network}'
    return self.recipe or f'{self.network} on {self.source}'


def render(
  date: str,
  machine: str,
  runs: list[Run],
  curves: list[Figure],
  version: str = '',
) -> str:
  """Returns the page as HTML; all names are escaped.

  With a `version`, the page loads itself again when /version is another one.
  """
  return templates.render(
    'page.html.j2',
    title=', '.join(dict.fromkeys(run.title for run in runs)),
    date=date,
    machine=machine,
    runs=runs,
    curves=curves,
    differences=differences(runs),
    version=version,
  )


def differences(runs: Sequence[Run]) -> list[tuple[str, list[Any]]]:
  """Returns each config key whose value differs, with that of each run."""
  configs = [dict(run.config) for run in runs]
  keys = dict.fromkeys(key for config in configs for key in config)
  rows = [(key, [c.get(key, _ABSENT) for c in configs]) for key in keys]
  return [(key, row) for key, row in rows if len(set(map(repr, row))) > 1]


def named(workdirs: list[str]) -> list[tuple[str, str]]:
  """Names each path by its last part, or more parts until they differ.

  Raises:
    UserError: two paths are the same.
  """
  parts = [os.path.abspath(workdir).split(os.sep) for workdir in workdirs]
  for number in range(1, max(map(len, parts)) + 1):
    names = ['-'.join(part[-number:]) for part in parts]
    if len(set(names)) == len(names):
      return list(zip(names, workdirs, strict=True))
  raise UserError('--workdir names the same run twice')

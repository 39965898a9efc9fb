"""A self-contained HTML page about one or more runs."""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import os
from typing import Any

from etils import epath

from inception_jax.errors import UserError
from inception_jax.report import cost
from inception_jax.report import intervals
from inception_jax.report import language
from inception_jax.report import templates
from inception_jax.report.figures import Figure
from inception_jax.runtime import files
from inception_jax.runtime import progress_bar

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
    saved_step: of the checkpoint whose record `versions` and `seconds` are.
    seconds: of wall time over all starts until then, by what they went to, as
      'steps' and 'saving'; {} if unknown.
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
  saved_step: int = 0
  seconds: Mapping[str, float] = dataclasses.field(default_factory=dict)
  scores: Mapping[str, float] = dataclasses.field(default_factory=dict)
  interval: tuple[float, float] = (0.0, 1.0)
  first_batch: Sequence[dict[str, Any]] = ()
  confusion: Sequence[Figure] = ()
  confused_pairs: Sequence[dict[str, Any]] = ()
  classes: Sequence[dict[str, Any]] = ()
  mistakes: Sequence[dict[str, Any]] = ()
  pixelated: bool = False

  @property
  def device_hours(self) -> float:
    """Hours of all its devices together, over all starts; 0 if unknown."""
    devices = str(self.versions.get('devices', ''))
    return cost.device_hours(devices, sum(self.seconds.values()))

  def title(self, translate: language.Translate) -> str:
    """Returns the recipe and the network, or else the network and its data."""
    if self.recipe and self.recipe != self.network:
      return f'{self.recipe}: {self.network}'
    return self.recipe or translate(
      '{network} on {source}', network=self.network, source=self.source
    )

  def trained(self, translate: language.Translate) -> str:
    """Returns in a sentence what was trained, and on what."""
    devices = self.versions.get('devices') or translate('unknown devices')
    words = {
      'network': self.network,
      'source': self.source,
      'devices': devices,
    }
    if not (machine := self.versions.get('machine')):
      return translate('{network} on {source}, trained on {devices}.', **words)
    return translate(
      '{network} on {source}, trained on {devices}, {machine}.',
      machine=translate.known(machine),
      **words,
    )

  def wall_time(self, translate: language.Translate) -> str:
    """Returns in a sentence what the wall time went to."""
    whole = sum(self.seconds.values())
    percent = lambda kind: f'{100 * self.seconds[kind] / whole:.1f} %'
    kinds = [f'{translate(x)} {percent(x)}' for x in self.seconds]
    return translate(
      'Wall time until the checkpoint of step {step}, over all starts: '
      'goodput {share} of {time}: {kinds}.',
      step=f'{self.saved_step:,}',
      share=percent('steps'),
      time=progress_bar.format_duration(whole),
      kinds=translate(', ').join(kinds),
    )

  def set_scores(self, scores: Mapping[str, float]) -> None:
    """Sets the scores, and the interval that belongs to them."""
    self.scores = scores
    self.interval = intervals.wilson(scores['top1'], scores['count'])


def render(
  date: str,
  machine: str,
  runs: list[Run],
  curves: list[Figure],
  translate: language.Translate = language.ENGLISH,
  price: cost.Price | None = None,
  version: str = '',
) -> str:
  """Returns the page as HTML; all names are escaped.

  With a `version`, the page loads itself again when /version is another one.
  With a `price`, it has what the runs have cost.
  """
  return templates.render(
    'page.html.j2',
    translate,
    title=translate(', ').join(dict.fromkeys(x.title(translate) for x in runs)),
    date=date,
    machine=machine,
    runs=runs,
    curves=curves,
    differences=differences(runs),
    price=price,
    number=cost.number,
    version=version,
  )


def write(folder: str, text: str, figures: Mapping[str, Figure]) -> str:
  """Writes a page and its figures as PNG, by name; returns the page's path."""
  path = epath.Path(folder)
  path.mkdir(parents=True, exist_ok=True)
  for name, figure in figures.items():
    (path / f'{name}.png').write_bytes(figure.png)
  files.atomic_write(path / 'index.html', text)
  return str(path / 'index.html')


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

"""One self-contained page on one or several runs."""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import os
from typing import Any

from inception_jax.report.figures import Figure


@dataclasses.dataclass
class Run:
  """What a page says of a run.

  Attributes:
    name: for people.
    network: its name.
    source: of the data.
    split: that was evaluated.
    config: ('data.source', value) of each key.
    versions: of what it was trained with, and on which 'devices'.
    scores: 'step', 'loss', 'top1', 'top5', 'count'; {} if there are none.
    interval: of top-1.
    confusion: the matrix; None without an evaluation, as are the others.
    pairs: see `mistakes.pairs`.
    classes: see `predictions.by_class`.
    mistakes: see `mistakes.worst`.
    small: whether its pictures are to show their pixels.
  """

  name: str
  network: str
  source: str
  split: str
  config: Sequence[tuple[str, Any]]
  versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
  scores: Mapping[str, float] = dataclasses.field(default_factory=dict)
  interval: tuple[float, float] = (0.0, 1.0)
  confusion: Figure | None = None
  pairs: Sequence[dict[str, Any]] = ()
  classes: Sequence[dict[str, Any]] = ()
  mistakes: Sequence[dict[str, Any]] = ()
  small: bool = False


def render(
  title: str,
  date: str,
  machine: str,
  runs: Sequence[Run],
  curves: Sequence[Figure],
) -> str:
  """The page as HTML; whatever names hold, it is text there."""
  import jinja2

  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(os.path.dirname(__file__)),
    autoescape=True,
    trim_blocks=True,
    undefined=jinja2.StrictUndefined,
  )
  return environment.get_template('page.html.j2').render(
    title=title, date=date, machine=machine, runs=runs, curves=curves
  )

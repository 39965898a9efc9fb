"""Renders a self-contained HTML page about one or more runs."""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import os
from typing import Any

from inception_jax.errors import printable
from inception_jax.report.figures import Figure


@dataclasses.dataclass
class Run:
  """Contents of a page about one run.

  Attributes:
    split: that was evaluated.
    config: (key, value) pairs, with keys such as 'data.source'.
    versions: of the libraries it was trained with, and its 'devices'.
    scores: 'step' and the scores of `Evaluation`; {} if there are none.
    interval: 95 % confidence interval of top-1.
    confusion: the confusion matrix; None, and the fields below empty, if the
      report did not evaluate the run.
    confused_pairs: see `mistakes.confused_pairs`.
    classes: see `predictions.by_class`.
    mistakes: see `mistakes.worst`.
    pixelated: whether pictures are enlarged without smoothing.
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
  confused_pairs: Sequence[dict[str, Any]] = ()
  classes: Sequence[dict[str, Any]] = ()
  mistakes: Sequence[dict[str, Any]] = ()
  pixelated: bool = False


def render(
  title: str, date: str, machine: str, runs: list[Run], curves: list[Figure]
) -> str:
  """Returns the page as HTML; all names are escaped."""
  import jinja2

  def finalize(value):
    is_name = isinstance(value, str) and not hasattr(value, '__html__')
    return printable(value, len(value)) if is_name else value

  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(os.path.dirname(__file__)),
    autoescape=True,
    finalize=finalize,
    trim_blocks=True,
    undefined=jinja2.StrictUndefined,
  )
  return environment.get_template('page.html.j2').render(
    title=title, date=date, machine=machine, runs=runs, curves=curves
  )

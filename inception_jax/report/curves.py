"""Draws what metrics.jsonl has against the training step."""

from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import numpy as np

from inception_jax.errors import printable
from inception_jax.report import figures
from inception_jax.report import language

# 'auto': logarithmic if losses differ much.
LOSS_AXES = ('auto', 'linear', 'log')
_RAW = 'eval_raw'
# Of each split of metrics.jsonl, in the order of drawing.
_STYLES = {'train': ':', _RAW: '--', 'eval': '-'}
# Above this ratio of the largest to the smallest loss, the axis is logarithmic.
_LOGARITHMIC = 30
# A loss above the axis is at least so many times what it has room for.
_MARGIN = 1.5
_MOST_MARKED = 30


class _Line(NamedTuple):
  run: str
  number: int  # of the run
  split: str
  steps: np.ndarray
  values: np.ndarray


class _Plot(NamedTuple):
  name: str
  title: str
  label: str
  key: str
  splits: tuple[str, ...]


_PLOTS = (
  _Plot('loss', 'Loss', 'cross-entropy (nats)', 'loss', tuple(_STYLES)),
  _Plot('accuracy', 'Top-1 accuracy', 'images (%)', 'top1', tuple(_STYLES)),
  _Plot('learning_rate', 'Learning rate', 'rate', 'learning_rate', ('train',)),
  _Plot(
    'throughput',
    'Throughput',
    'images per second',
    'images_per_sec',
    ('train',),
  ),
)


def curves(
  runs: Sequence[tuple[str, list[dict[str, Any]]]],
  translate: language.Translate = language.ENGLISH,
  loss_axis: str = 'auto',
) -> list[figures.Figure]:
  """Draws loss, accuracy, learning rate and throughput against the step.

  Args:
    runs: the name of each run and the lines of its metrics.jsonl.
    translate: to the language of the figures.
    loss_axis: one of `LOSS_AXES`.

  Returns:
    A figure for each of these that has data.
  """
  drawn = ((plot, _lines(runs, plot)) for plot in _PLOTS)
  return [
    _curve(plot, lines, len(runs), translate, loss_axis)
    for plot, lines in drawn
    if lines
  ]


def training_seconds(metrics: list[dict[str, Any]], batch_size: int) -> float:
  """Returns how long the training steps took, with the wait for their data.

  Compilation, evaluation and saving are not in metrics.jsonl.
  """
  seconds, before = 0.0, 0
  for line in metrics:
    if line['split'] == 'train' and (line.get('images_per_sec') or 0) > 0:
      images = (line['step'] - before) * batch_size
      seconds += images / line['images_per_sec']
      before = line['step']
  return seconds


def _lines(runs, plot: _Plot) -> list[_Line]:
  lines = []
  for i, (run, metrics) in enumerate(runs):
    for split in plot.splits:
      points = [
        (line['step'], line[plot.key])
        for line in metrics
        if line['split'] == split and line.get(plot.key) is not None
      ]
      if points:
        lines.append(_Line(run, i, split, *np.array(points, float).T))
  return lines


def _curve(
  plot: _Plot, lines: list[_Line], runs: int, translate, loss_axis: str
) -> figures.Figure:
  limit = _limit(lines) if plot.key == 'loss' else np.inf
  averaged = {line.number for line in lines if line.split == _RAW}

  def is_dashed(line):
    # Lines of one run that have a colour each need no style.
    return len(plot.splits) > 1 and (runs > 1 or line.split == _RAW)

  def draw(plt, axes):
    for line in lines:
      shown = line.values <= limit
      colour = figures.COLOURS[_colour(line, runs) % len(figures.COLOURS)]
      axes.plot(
        line.steps[shown],
        line.values[shown],
        color=colour,
        linewidth=1.2 if line.split == 'train' else 1.8,
        linestyle=_STYLES[line.split] if is_dashed(line) else '-',
        marker='o' if shown.sum() < _MOST_MARKED else '',
        markersize=3,
        label=_label(line, plot, runs, line.number in averaged, translate)
        or None,
      )
    figures.whole_steps(plt, axes, translate)
    axes.set_ylabel(translate(plot.label))
    ticker = plt.matplotlib.ticker
    if plot.key == 'loss':
      inside = [line.values[line.values <= limit] for line in lines]
      _scale(axes, ticker, np.concatenate(inside), loss_axis)
      _mark_beyond(axes, lines, limit, runs, translate)
    elif plot.key == 'top1':
      axes.yaxis.set_major_formatter(ticker.PercentFormatter(1, symbol=''))
    elif plot.key == 'images_per_sec':
      axes.set_ylim(bottom=0)
      axes.yaxis.set_major_formatter(ticker.StrMethodFormatter('{x:,g}'))
    if runs > 1:  # too many names to lie among the lines
      axes.figure.legend(loc='outside lower left', fontsize=8)
    elif len(plot.splits) > 1:
      axes.legend()

  height = 3.0 + 0.18 * len(lines) * (runs > 1)
  return figures.figure(plot.name, translate(plot.title), draw, (4.6, height))


def _colour(line: _Line, runs: int) -> int:
  """With one run, a colour for each split; with several, for each run."""
  return line.number if runs > 1 else ('train', 'eval', _RAW).index(line.split)


def _label(
  line: _Line, plot: _Plot, runs: int, is_averaged: bool, translate
) -> str:
  """Names a line in the legend; '' if it is the only one."""
  kinds = {'train': 'training', 'eval': 'evaluation'}
  if is_averaged:
    kinds['eval'] = 'evaluation, averaged weights'
  kinds[_RAW] = 'evaluation, raw weights'
  kind = translate(kinds[line.split])
  if runs == 1:
    return kind if len(plot.splits) > 1 else ''
  if len(plot.splits) > 1:
    return printable(translate('{run}, {kind}', run=line.run, kind=kind))
  return printable(line.run)


def _limit(lines: list[_Line]) -> float:
  """Returns the largest loss that the axis has room for.

  The first evaluations may be many times as high as all others: BatchNorm's
  moving statistics are those of the initial network for many steps.
  """
  highest = [
    line.values.max()
    if line.split == 'train'
    else np.quantile(line.values, 0.5, method='lower')
    for line in lines
  ]
  return _MARGIN * max(highest)


def _scale(axes, ticker, values: np.ndarray, loss_axis: str) -> None:
  """Makes the axis logarithmic where asked to, or where losses differ much."""
  is_wide = 0 < values.min() * _LOGARITHMIC < values.max()
  if loss_axis == 'linear' or (loss_axis == 'auto' and not is_wide):
    return
  if values.max() <= 0:  # no such axis has them
    return
  axes.set_yscale('log')
  # Plain numbers: powers of ten would be typeset as mathematics.
  axes.yaxis.set_major_formatter(ticker.StrMethodFormatter('{x:g}'))
  axes.yaxis.set_minor_formatter(ticker.NullFormatter())


def _mark_beyond(
  axes, lines: list[_Line], limit: float, runs: int, translate
) -> None:
  """Marks losses above the axis at its upper edge, and says what they are."""
  beyond = []
  for line in lines:
    above = line.values > limit
    if not above.any():
      continue
    steps = line.steps[above]
    (markers,) = axes.plot(
      steps,
      np.ones(len(steps)),
      '^',
      color=figures.COLOURS[_colour(line, runs) % len(figures.COLOURS)],
      markersize=5,
      clip_on=False,
      transform=axes.get_xaxis_transform(),
    )
    markers.set_in_layout(False)  # constrained layout would leave a gap
    beyond += zip(line.values[above], steps, strict=True)
  if beyond:
    value, step = max(beyond)
    text = translate(
      '▲ {count} above the axis, at most {value} at step {step}',
      count=len(beyond),
      value=f'{value:,.5g}',
      step=f'{step:,.0f}',
    )
    axes.set_xlabel(f'{axes.get_xlabel()}\n{text}')

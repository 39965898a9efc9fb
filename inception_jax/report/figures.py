"""Curves and the confusion matrix, as SVG for a page and PNG beside it."""

from collections.abc import Sequence
import io
from typing import Any
from typing import NamedTuple
import warnings

import numpy as np

# Small, since a phone shows them in 360 pixels with the letters still read.
_SIZE = (4.6, 3.0)

_DPI = 200

_COLOURS = ('#2563eb', '#d9480f', '#2b8a3e', '#9333ea', '#0e7490', '#a16207')

_STYLE = {
  'font.size': 9,
  'svg.fonttype': 'none',  # text stays text
  'text.parse_math': False,  # a $ in a name is a $
  'axes.spines.top': False,
  'axes.spines.right': False,
  'axes.grid': True,
  'grid.color': '#e5e7eb',
  'grid.linewidth': 0.8,
  'axes.edgecolor': '#9ca3af',
  'axes.axisbelow': True,
  'legend.frameon': False,
}

# For names that the first has no letters of, where they are installed.
_FONTS = (
  'DejaVu Sans',
  'Noto Sans CJK SC',
  'Source Han Sans SC',
  'WenQuanYi Micro Hei',
  'Microsoft YaHei',
  'PingFang SC',
  'SimHei',
)

# Most classes whose matrix has numbers in its cells, and names beside them.
_NUMBERED, _NAMED = 12, 40


class Figure(NamedTuple):
  """One picture.

  Attributes:
    name: of its file.
    title: for people.
    svg: as it stands in a page.
    png: the same, for elsewhere.
  """

  name: str
  title: str
  svg: str
  png: bytes


def curves(runs: Sequence[tuple[str, list[dict[str, Any]]]]) -> list[Figure]:
  """Loss, accuracy, learning rate and throughput over the steps.

  Args:
    runs: the name of each, and its lines of metrics.jsonl.

  Returns:
    A figure for each of which there is anything to draw.
  """
  plans = (
    ('loss', 'Loss', 'loss', ('train', 'eval')),
    ('accuracy', 'Top-1 accuracy', 'top1', ('train', 'eval')),
    ('learning_rate', 'Learning rate', 'learning_rate', ('train',)),
    ('throughput', 'Images per second', 'images_per_sec', ('train',)),
  )
  drawn = (_curve(runs, *plan) for plan in plans)
  return [figure for figure in drawn if figure]


def _curve(runs, name, title, key, splits) -> Figure | None:
  lines = [
    (i, run, split, *_points(metrics, split, key))
    for i, (run, metrics) in enumerate(runs)
    for split in splits
  ]
  lines = [line for line in lines if len(line[-1])]
  if not lines:
    return None

  def draw(plt, axes):
    for i, run, split, steps, values in lines:
      names = [run] * (len(runs) > 1) + [split] * (len(splits) > 1)
      # One run has a colour for each split, several have one each.
      number = i if len(runs) > 1 else splits.index(split)
      axes.plot(
        steps,
        values,
        color=_COLOURS[number % len(_COLOURS)],
        linewidth=1.8 if split == splits[-1] else 1.2,
        linestyle='-' if split == splits[-1] or len(runs) == 1 else ':',
        marker='o' if len(steps) < 30 else '',
        markersize=3,
        label=', '.join(names) or None,
      )
    axes.set_xlabel('step')
    shown = np.concatenate([values for *_, values in lines])
    if key == 'loss' and shown.min() > 0 and shown.max() > 30 * shown.min():
      axes.set_yscale('log')
      # As numbers: powers would be set as mathematics.
      ticker = plt.matplotlib.ticker
      axes.yaxis.set_major_formatter(ticker.StrMethodFormatter('{x:g}'))
      axes.yaxis.set_minor_formatter(ticker.NullFormatter())
    if key == 'top1':
      axes.yaxis.set_major_formatter(plt.matplotlib.ticker.PercentFormatter(1))
    if len(runs) > 1 or len(splits) > 1:
      axes.legend()

  return _figure(name, title, draw, _SIZE)


def _points(metrics, split, key):
  chosen = [
    (line['step'], line[key])
    for line in metrics
    if line['split'] == split and line.get(key) is not None
  ]
  steps, values = zip(*chosen, strict=True) if chosen else ((), ())
  return np.asarray(steps), np.asarray(values, float)


def confusion(counts: np.ndarray, names: Sequence[str]) -> Figure:
  """Which class was taken for which, as shares of the class.

  Args:
    counts: [N, N], of the images of each class, taken for each.
    names: of the classes.
  """
  shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
  number = len(names)

  def draw(plt, axes):
    image = axes.imshow(shares, cmap='Blues', vmin=0, vmax=1)
    axes.grid(visible=False)
    axes.set(xlabel='taken for', ylabel='is')
    if number <= _NAMED:
      short = [name if len(name) < 15 else f'{name[:14]}…' for name in names]
      long = max(map(len, short)) > 2
      axes.set_xticks(range(number), short, rotation=90 if long else 0)
      axes.set_yticks(range(number), short)
    if number <= _NUMBERED:
      for i, j in np.argwhere(counts):
        colour = 'white' if shares[i, j] > 0.5 else '#374151'
        axes.text(
          j, i, counts[i, j], ha='center', va='center', color=colour, size=7
        )
    bar = axes.figure.colorbar(image, shrink=0.7)
    bar.ax.yaxis.set_major_formatter(
      plt.matplotlib.ticker.PercentFormatter(1, decimals=0)
    )

  return _figure('confusion', 'Confusion matrix', draw, (4.6, 4.2))


def _figure(name, title, draw, size) -> Figure:
  import matplotlib

  matplotlib.use('agg')  # no display
  from matplotlib import font_manager
  import matplotlib.pyplot as plt

  installed = set(font_manager.get_font_names())
  fonts = [name for name in _FONTS if name in installed]
  # A salt of its own, or two figures in one page have elements of one name.
  own = {'svg.hashsalt': name, 'font.family': fonts}
  with plt.rc_context({**_STYLE, **own}), warnings.catch_warnings():
    # Only the PNG lacks them: a browser has fonts of its own.
    warnings.filterwarnings('ignore', 'Glyph .* missing')
    figure, axes = plt.subplots(figsize=size, layout='constrained')
    draw(plt, axes)
    svg, png = io.StringIO(), io.BytesIO()
    figure.savefig(svg, format='svg', metadata={'Date': None})
    figure.savefig(png, format='png', dpi=_DPI)
    plt.close(figure)
  text = svg.getvalue()
  # Without the declarations of a file of its own.
  return Figure(name, title, text[text.index('<svg') :], png.getvalue())

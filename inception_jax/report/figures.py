"""Draws training curves and confusion matrices, as SVG and PNG."""

from collections.abc import Sequence
import io
from typing import Any
from typing import NamedTuple
import warnings

import numpy as np

from inception_jax.errors import printable

_COLOURS = ('#2563eb', '#d9480f', '#2b8a3e', '#9333ea', '#0e7490', '#a16207')
_STYLE = {
  'font.size': 9,
  'svg.fonttype': 'none',  # text as text, not as paths
  'text.parse_math': False,  # class names may contain $
  'axes.spines.top': False,
  'axes.spines.right': False,
  'axes.grid': True,
  'grid.color': '#e5e7eb',
  'grid.linewidth': 0.8,
  'axes.edgecolor': '#9ca3af',
  'axes.axisbelow': True,
  'legend.frameon': False,
}
# Fallbacks, where installed, for characters that the first font lacks.
_FONTS = (
  'DejaVu Sans',
  'Noto Sans CJK SC',
  'Source Han Sans SC',
  'WenQuanYi Micro Hei',
  'Microsoft YaHei',
  'PingFang SC',
  'SimHei',
)
# The most classes for which a matrix shows counts, and class names.
_MOST_WITH_COUNTS, _MOST_WITH_NAMES = 12, 40


class Figure(NamedTuple):
  """A figure as an <svg> element, to embed in a page, and as a PNG file.

  `name` is the file's, without an extension; `title` is shown to readers.
  """

  name: str
  title: str
  svg: str
  png: bytes


def curves(runs: Sequence[tuple[str, list[dict[str, Any]]]]) -> list[Figure]:
  """Draws loss, accuracy, learning rate and throughput against the step.

  `runs` has the name of each run and the lines of its metrics.jsonl. Returns a
  figure for each of these that has data.
  """
  plots = (
    ('loss', 'Loss', 'loss', ('train', 'eval')),
    ('accuracy', 'Top-1 accuracy', 'top1', ('train', 'eval')),
    ('learning_rate', 'Learning rate', 'learning_rate', ('train',)),
    ('throughput', 'Images per second', 'images_per_sec', ('train',)),
  )
  drawn = (_curve(runs, *plot) for plot in plots)
  return [figure for figure in drawn if figure]


def _curve(runs, name, title, key, splits) -> Figure | None:
  lines = []
  for i, (run, metrics) in enumerate(runs):
    for split in splits:
      points = [
        (line['step'], line[key])
        for line in metrics
        if line['split'] == split and line.get(key) is not None
      ]
      if points:
        lines.append((i, run, split, *np.array(points, float).T))
  if not lines:
    return None

  def draw(plt, axes):
    for i, run, split, steps, values in lines:
      names = [run] * (len(runs) > 1) + [split] * (len(splits) > 1)
      # With one run, a color per split; with several, a color per run.
      color = i if len(runs) > 1 else splits.index(split)
      axes.plot(
        steps,
        values,
        color=_COLOURS[color % len(_COLOURS)],
        linewidth=1.8 if split == splits[-1] else 1.2,
        linestyle='-' if split == splits[-1] or len(runs) == 1 else ':',
        marker='o' if len(steps) < 30 else '',
        markersize=3,
        label=printable(', '.join(names)) or None,
      )
    axes.set_xlabel('step')
    drawn = np.concatenate([values for *_, values in lines])
    if key == 'loss' and drawn.min() > 0 and drawn.max() > 30 * drawn.min():
      axes.set_yscale('log')
      # Plain numbers: powers of ten would be typeset as mathematics.
      ticker = plt.matplotlib.ticker
      axes.yaxis.set_major_formatter(ticker.StrMethodFormatter('{x:g}'))
      axes.yaxis.set_minor_formatter(ticker.NullFormatter())
    if key == 'top1':
      axes.yaxis.set_major_formatter(plt.matplotlib.ticker.PercentFormatter(1))
    if len(runs) > 1 or len(splits) > 1:
      axes.legend()

  # Small, so that text stays readable on a phone 360 pixels wide.
  return _figure(name, title, draw, (4.6, 3.0))


def confusion(counts: np.ndarray, names: Sequence[str]) -> Figure:
  """Draws a confusion matrix, each row normalized by its class's images.

  `counts` [N, N] are images by label (row) and prediction (column).
  """
  fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)

  def draw(plt, axes):
    image = axes.imshow(fractions, cmap='Blues', vmin=0, vmax=1)
    axes.grid(visible=False)
    axes.set(xlabel='prediction', ylabel='label')
    if len(names) <= _MOST_WITH_NAMES:
      short = [name if len(name) < 15 else f'{name[:14]}…' for name in names]
      short = list(map(printable, short))
      long = max(map(len, short)) > 2
      axes.set_xticks(range(len(names)), short, rotation=90 if long else 0)
      axes.set_yticks(range(len(names)), short)
    if len(names) <= _MOST_WITH_COUNTS:
      for i, j in np.argwhere(counts):
        color = 'white' if fractions[i, j] > 0.5 else '#374151'
        axes.text(
          j, i, counts[i, j], ha='center', va='center', color=color, size=7
        )
    bar = axes.figure.colorbar(image, shrink=0.7)
    bar.ax.yaxis.set_major_formatter(
      plt.matplotlib.ticker.PercentFormatter(1, decimals=0)
    )

  return _figure('confusion', 'Confusion matrix', draw, (4.6, 4.2))


def _figure(name, title, draw, inches) -> Figure:
  import matplotlib

  matplotlib.use('agg')  # no display
  from matplotlib import font_manager
  import matplotlib.pyplot as plt

  installed = set(font_manager.get_font_names())
  fonts = [name for name in _FONTS if name in installed]
  # The salt keeps element ids unique where one page embeds several figures.
  options = {'svg.hashsalt': name, 'font.family': fonts}
  with plt.rc_context({**_STYLE, **options}), warnings.catch_warnings():
    # Missing glyphs affect only the PNG: browsers draw the SVG's text.
    warnings.filterwarnings('ignore', 'Glyph .* missing')
    figure, axes = plt.subplots(figsize=inches, layout='constrained')
    draw(plt, axes)
    svg, png = io.StringIO(), io.BytesIO()
    figure.savefig(svg, format='svg', metadata={'Date': None})
    figure.savefig(png, format='png', dpi=200)
    plt.close(figure)
  text = svg.getvalue()
  # An embedded <svg> has no XML declaration and no doctype.
  return Figure(name, title, text[text.index('<svg') :], png.getvalue())

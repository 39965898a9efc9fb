"""Draws confusion matrices of ten classes, and of a thousand."""

from collections.abc import Sequence

import numpy as np

from inception_jax.errors import printable
from inception_jax.report import figures
from inception_jax.report import language

# The most classes for which a matrix shows counts, and class names.
_MOST_WITH_COUNTS, _MOST_WITH_NAMES = 12, 40
_MOST_CELLS = 200


def matrices(
  counts: np.ndarray,
  names: Sequence[str],
  translate: language.Translate = language.ENGLISH,
) -> list[figures.Figure]:
  """Draws a confusion matrix, each row normalized by its class's images.

  Of more classes than can have names, the first figure has those that are
  confused most often, and the second all of them, each cell the largest
  fraction of a block of classes.

  Args:
    counts: [N, N] images by label (row) and prediction (column).
    names: of the N classes.
    translate: to the language of the figures.
  """
  fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
  if len(names) <= _MOST_WITH_NAMES:
    title = translate('Confusion matrix')
    return [_named(title, counts, fractions, names, translate)]
  chosen = _most_confused(counts)
  some = np.ix_(chosen, chosen)
  title = translate(
    '{some} of {count} classes, confused most often',
    some=len(chosen),
    count=len(names),
  )
  few = [names[i] for i in chosen]
  return [
    _named(title, counts[some], fractions[some], few, translate),
    _whole(fractions, translate),
  ]


def _most_confused(counts: np.ndarray) -> np.ndarray:
  """Returns the classes of the most frequent confusions, in their order."""
  wrong = counts * (1 - np.eye(len(counts), dtype=int))
  order = np.argsort(-wrong, axis=None, kind='stable')
  pairs = np.stack(np.unravel_index(order, wrong.shape), axis=1)
  used: dict[int, None] = {}
  for pair in pairs.tolist():
    if len(used.keys() | set(pair)) > _MOST_WITH_NAMES:
      break
    used |= dict.fromkeys(pair)
  return np.array(sorted(used))


def _named(title, counts, fractions, names, translate) -> figures.Figure:
  def draw(plt, axes):
    short = [name if len(name) < 15 else f'{name[:14]}…' for name in names]
    short = list(map(printable, short))
    long = max(map(len, short)) > 2
    size = 9 if len(names) <= _MOST_WITH_COUNTS else 5
    places = range(len(names))
    axes.set_xticks(places, short, rotation=90 if long else 0, fontsize=size)
    axes.set_yticks(places, short, fontsize=size)
    _shade(plt, axes, fractions, translate)
    for i in places:  # where labels and predictions agree
      axes.add_patch(
        plt.Rectangle(
          (i - 0.5, i - 0.5), 1, 1, fill=False, edgecolor=figures.INK, lw=0.6
        )
      )
    if len(names) <= _MOST_WITH_COUNTS:
      for i, j in np.argwhere(counts):
        colour = 'white' if fractions[i, j] > 0.3 else figures.INK
        axes.text(
          j, i, counts[i, j], ha='center', va='center', color=colour, size=7
        )

  if len(names) <= _MOST_WITH_COUNTS:
    return figures.figure('confusion', title, draw, (4.6, 4.4))
  return figures.figure('confusion', title, draw, (6.0, 5.8), wide=True)


def _whole(fractions: np.ndarray, translate) -> figures.Figure:
  """Draws all classes; a cell of one image in a thousand must be seen."""
  size = len(fractions)
  block = -(-size // _MOST_CELLS)
  starts = np.arange(0, size, block)
  cells = np.maximum.reduceat(fractions, starts, axis=0)
  cells = np.maximum.reduceat(cells, starts, axis=1)

  def draw(plt, axes):
    extent = (-0.5, size - 0.5, size - 0.5, -0.5)
    # Cells are small: faint ones would not be seen.
    _shade(plt, axes, cells, translate, extent, gamma=1 / 3)

  title = translate('All {count} classes, by number', count=size)
  if block > 1:
    title = translate(
      'All {count} classes, by number, in blocks of {block}',
      count=size,
      block=block,
    )
  return figures.figure('confusion-all', title, draw, (4.6, 4.2))


def _shade(plt, axes, fractions, translate, extent=None, gamma=1 / 2) -> None:
  """Draws fractions as the opacity of one colour, over any background."""
  to_rgba = plt.matplotlib.colors.to_rgba
  shades = plt.matplotlib.colors.LinearSegmentedColormap.from_list(
    'shades', [to_rgba(figures.COLOURS[0], alpha) for alpha in (0, 1)]
  )
  image = axes.imshow(
    fractions,
    cmap=shades,
    # Few images of a class are confused: a linear scale would hide them.
    norm=plt.matplotlib.colors.PowerNorm(gamma, 0, 1),
    interpolation='nearest',
    extent=extent,
  )
  axes.grid(visible=False)
  axes.set(xlabel=translate('prediction'), ylabel=translate('true label'))
  label = translate('images of the class (%)')
  bar = axes.figure.colorbar(image, shrink=0.7, label=label)
  ticker = plt.matplotlib.ticker
  bar.set_ticks([0, 0.01, 0.1, 0.25, 0.5, 1])
  bar.ax.yaxis.set_major_formatter(ticker.PercentFormatter(1, 0, symbol=''))

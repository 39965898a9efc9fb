"""A self-contained HTML page about a dataset."""

from collections.abc import Mapping
from collections.abc import Sequence
import time
from typing import Any

from etils import epath
import numpy as np

from inception_jax.data.prepare.describe import Description
from inception_jax.errors import printable
from inception_jax.report import figures
from inception_jax.report import language
from inception_jax.report import pictures
from inception_jax.report import templates
from inception_jax.runtime import files

_BINS = 40
_MOST_LISTED = 200


def write(
  path: str,
  data,
  splits: Sequence[Description],
  bad: Mapping[str, str],
  duplicates: Mapping[str, Any] | None,
  translate: language.Translate = language.ENGLISH,
) -> None:
  """Writes the page; all names are escaped.

  Args:
    path: of the page; its folder is made.
    data: `config.data`.
    splits: what was found in each.
    bad: why images cannot be decoded, by their names.
    duplicates: as `duplicates.find` returns them; None: not looked for.
    translate: to the language of the page.
  """
  classes = _classes(splits)
  text = templates.render(
    'dataset.html.j2',
    translate,
    title=f'{data.dir} ({data.source})',
    date=time.strftime('%Y-%m-%d %H:%M'),
    images=sum(int(split.counts.sum()) for split in splits),
    turned=sum(split.turned for split in splits),
    splits=[_summary(split) for split in splits],
    formats=_shares(splits, 'formats'),
    modes=_shares(splits, 'modes'),
    figures=_figures(splits, translate),
    classes=classes,
    shown=sum(bool(line['pictures']) for line in classes),
    bad=list(bad.items())[:_MOST_LISTED],
    bad_count=len(bad),
    duplicates=duplicates,
  )
  page = epath.Path(path)
  page.parent.mkdir(parents=True, exist_ok=True)
  files.atomic_write(page, text)


def _summary(split: Description) -> dict[str, Any]:
  """Returns a split's row: its class counts and its sizes."""
  counts = split.counts
  fewest, most = (
    f'{split.class_names[i]}: {counts[i]:,}'
    for i in (counts.argmin(), counts.argmax())
  )
  summary = {
    'name': split.name,
    'images': f'{counts.sum():,}',
    'fewest': fewest,
    'most': most,
    'ratio': f'{counts.max() / counts.min():.3g}' if counts.min() else '—',
    'sizes': ['—'] * 3,
  }
  if len(split.sizes):
    order = np.argsort(split.sizes.prod(axis=1), kind='stable')
    chosen = split.sizes[order[[0, len(order) // 2, -1]]]
    summary['sizes'] = [f'{width} × {height}' for width, height in chosen]
  return summary


def _shares(splits, field: str) -> list[tuple[str, list[int]]]:
  """Returns each format or mode with its number of images in each split."""
  counters = [getattr(split, field) for split in splits]
  names = sorted(set().union(*counters))
  rows = [(name, [counter[name] for counter in counters]) for name in names]
  return sorted(rows, key=lambda row: -sum(row[1]))


def _classes(splits) -> list[dict[str, Any]]:
  """Returns each class's name, images in each split, and pictures."""
  # The classes of one split may be fewer.
  numbers = [
    {name: i for i, name in enumerate(split.class_names)} for split in splits
  ]
  first = splits[0].examples
  return [
    {
      'name': name,
      'counts': [
        int(split.counts[of_split[name]]) if name in of_split else 0
        for split, of_split in zip(splits, numbers, strict=True)
      ],
      'pictures': [
        pictures.url(jpeg, 'jpeg')
        for jpeg in first.get(numbers[0].get(name), ())
      ],
    }
    for name in {name: None for of_split in numbers for name in of_split}
  ]


def _figures(splits, translate) -> list[figures.Figure]:
  """Draws class counts and, where they differ, sizes and aspect ratios."""
  drawn = [_class_counts(splits, translate)]
  sizes = [split.sizes for split in splits]
  histograms = (
    ('side', 'Shorter side', 'pixels', [s.min(axis=1) for s in sizes]),
    (
      *('aspect', 'Aspect ratio', 'width / height'),
      [s[:, 0] / np.maximum(s[:, 1], 1) for s in sizes],
    ),
  )
  for name, title, label, values in histograms:
    together = np.concatenate(values)
    if len(together) and 0 < together.min() < together.max():
      drawn.append(_histogram(name, title, label, splits, values, translate))
  return drawn


def _colour(number: int) -> str:
  return figures.COLOURS[number % len(figures.COLOURS)]


def _class_counts(splits, translate) -> figures.Figure:
  def draw(plt, axes):
    for i, split in enumerate(splits):
      counts = -np.sort(-split.counts)
      edges = np.arange(len(counts) + 1) + 0.5
      axes.stairs(counts, edges, color=_colour(i), label=printable(split.name))
    axes.set(
      xlabel=translate('class, by its number of images'),
      ylabel=translate('images'),
    )
    ticker = plt.matplotlib.ticker
    axes.set_ylim(bottom=0)
    for axis in (axes.xaxis, axes.yaxis):
      axis.set_major_locator(ticker.MaxNLocator(5, integer=True))
      axis.set_major_formatter(ticker.StrMethodFormatter('{x:,.0f}'))
    axes.legend()

  return figures.figure('classes', translate('Images of each class'), draw)


def _histogram(name, title, label, splits, values, translate) -> figures.Figure:
  """Draws fractions of each split's images, over a logarithmic axis."""
  together = np.concatenate(values)
  edges = np.geomspace(together.min(), together.max(), _BINS + 1)
  edges[-1] = together.max()  # not rounded below it

  def draw(plt, axes):
    for i, (split, of_split) in enumerate(zip(splits, values, strict=True)):
      counts, _ = np.histogram(of_split, edges)
      fractions = counts / max(len(of_split), 1)
      legend = printable(split.name)
      axes.stairs(fractions, edges, color=_colour(i), label=legend)
    axes.set_xscale('log')
    axes.set(xlabel=translate(label), ylabel=translate('images (%)'))
    ticker = plt.matplotlib.ticker
    axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    # Plain numbers: powers of ten would be typeset as mathematics.
    axes.xaxis.set_major_formatter(ticker.StrMethodFormatter('{x:g}'))
    axes.xaxis.set_minor_formatter(ticker.NullFormatter())
    axes.yaxis.set_major_formatter(ticker.PercentFormatter(1, 0, symbol=''))
    axes.legend()

  return figures.figure(name, translate(title), draw)

"""Draws figures as SVG, which follows the page's colours, and as PNG."""

from collections.abc import Callable
import io
import logging
import re
from typing import NamedTuple
import warnings

from inception_jax import extras
from inception_jax.report import language

log = logging.getLogger(__name__)

# In an SVG, each becomes a variable of the page: var(--series-0), …
COLOURS = ('#2563eb', '#d9480f', '#2b8a3e', '#9333ea', '#0e7490', '#a16207')
INK, _EDGE, _GRID, _PAPER = '#111827', '#9ca3af', '#e5e7eb', '#fefefe'
_VARIABLES = {
  INK: 'ink',
  _EDGE: 'edge',
  _GRID: 'line',
  _PAPER: 'paper',
  **{colour: f'series-{i}' for i, colour in enumerate(COLOURS)},
}
_STYLE = {
  'font.size': 9,
  'svg.fonttype': 'none',  # text as text, not as paths
  'text.parse_math': False,  # class names may contain $
  'text.color': INK,
  'axes.labelcolor': INK,
  'axes.titlelocation': 'left',
  'axes.titlesize': 10,
  'axes.titleweight': 'bold',
  'axes.spines.top': False,
  'axes.spines.right': False,
  'axes.grid': True,
  'axes.edgecolor': _EDGE,
  'axes.axisbelow': True,
  'grid.color': _GRID,
  'grid.linewidth': 0.8,
  'xtick.color': _EDGE,
  'ytick.color': _EDGE,
  'xtick.labelcolor': INK,
  'ytick.labelcolor': INK,
  'legend.facecolor': _PAPER,  # curves behind it must not cross its text
  'legend.edgecolor': _PAPER,
  'legend.handlelength': 3.0,  # shows which lines are dashed
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


class Figure(NamedTuple):
  """A figure as an <svg> element, to embed in a page, and as a PNG file.

  `name` is the file's, without an extension; `title` is that in the figure.
  If it is `wide`, small text needs the whole width of a page.
  """

  name: str
  title: str
  svg: str
  png: bytes
  wide: bool = False


def figure(
  name: str,
  title: str,
  draw: Callable,
  inches: tuple[float, float] = (4.6, 3.0),
  wide: bool = False,
) -> Figure:
  """Returns the figure that `draw` draws, a function of pyplot and axes.

  Its size is by default so small that text stays readable on a phone 360 pixels
  wide.
  """
  with extras.imports():
    import matplotlib

    matplotlib.use('agg')  # no display
    import matplotlib.pyplot as plt

  fonts = _fonts()
  # The salt keeps element ids unique where one page embeds several figures.
  options = {'svg.hashsalt': name, 'font.family': fonts}
  with plt.rc_context({**_STYLE, **options}), warnings.catch_warnings():
    # Missing glyphs affect only the PNG: browsers draw the SVG's text.
    warnings.filterwarnings('ignore', 'Glyph .* missing')
    drawn, axes = plt.subplots(figsize=inches, layout='constrained')
    axes.set_title(title)
    draw(plt, axes)
    svg, png = io.StringIO(), io.BytesIO()
    drawn.savefig(svg, format='svg', metadata={'Date': None}, transparent=True)
    drawn.savefig(png, format='png', dpi=200)
    plt.close(drawn)
  return Figure(name, title, _embedded(svg.getvalue()), png.getvalue(), wide)


def warn_of_fonts(language: str) -> None:
  """Logs if PNG files lack the characters of 'en' or 'zh'."""
  if language == 'zh' and len(_fonts()) < 2:
    log.warning(
      'no font with Chinese characters is installed: PNG figures lack them, '
      'the page does not; Debian: apt-get install fonts-noto-cjk'
    )


def _fonts() -> list[str]:
  with extras.imports():
    from matplotlib import font_manager

  installed = set(font_manager.get_font_names())
  return [name for name in _FONTS if name in installed]


def _embedded(svg: str) -> str:
  """Returns an <svg> element for a page, with the page's colours."""
  # An embedded <svg> has no XML declaration and no doctype.
  svg = svg[svg.index('<svg') :]

  def variable(match):
    name = _VARIABLES.get(match[2])
    return f'{match[1]}: var(--{name})' if name else match[0]

  return re.sub(r'\b(fill|stroke): (#[0-9a-f]{6})\b', variable, svg)


def whole_steps(plt, axes, translate: language.Translate) -> None:
  """Labels the x-axis with whole numbers of training steps."""
  ticker = plt.matplotlib.ticker
  axes.set_xlabel(translate('training step'))
  # On wide axes fewer ticks, whose labels are wide, too.
  axes.xaxis.set_major_locator(ticker.MaxNLocator(5, integer=True))
  axes.xaxis.set_major_formatter(ticker.StrMethodFormatter('{x:,.0f}'))

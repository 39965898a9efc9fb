"""Figures in light and dark pages."""

import re

from inception_jax.report import figures
from inception_jax.report import templates


def test_svg_has_the_colours_of_the_page_and_png_its_own():
  def draw(plt, axes):
    axes.plot([1, 2], color=figures.COLOURS[2])
    axes.text(0, 1, '<b>')

  figure = figures.figure('x', 'Title', draw)
  used = set(re.findall(r'var\(--([\w-]+)\)', figure.svg))
  assert {'ink', 'edge', 'line', 'series-2'} <= used
  # Nothing is drawn in a colour that only one of the two modes can show.
  assert not re.findall(r'(?:fill|stroke): #\w+', figure.svg)
  assert '&lt;b&gt;' in figure.svg
  page = templates.render('base.html.j2', title='')
  light, dark = page.partition('prefers-color-scheme: dark')[::2]
  for name in used:
    assert f'--{name}: #' in light
    assert f'--{name}: #' in dark.partition('</style>')[0]

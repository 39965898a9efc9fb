"""The page about a dataset."""

import collections
import re

import numpy as np
import pytest

from inception_jax.data.prepare.describe import Description
from inception_jax.report import dataset
from tests.support import browser
from tests.support.tiny import tiniest_config

NAMES = ('<b>cat</b>', '狗', 'hare')


def described(name, counts, sizes, names=NAMES):
  return Description(
    name,
    names,
    np.array(counts),
    np.array(sizes),
    collections.Counter(JPEG=len(sizes)),
    collections.Counter(RGB=len(sizes)),
    turned=1,
    examples={0: [b'\xff\xd8\xff'], 1: []},
  )


@pytest.fixture
def written(tmp_path):
  """Returns a function that writes a page and returns its path."""

  def write(splits, bad=(), duplicates=None):
    data = tiniest_config().data
    data.source, data.dir = 'folder', '/<i>data'
    path = tmp_path / 'new' / 'page.html'
    dataset.write(str(path), data, splits, dict(bad), duplicates)
    return path

  return write


def cells(text):
  """Returns the texts of each row's cells."""
  rows = re.findall('<tr>(.*?)</tr>', text, re.DOTALL)
  return [re.findall('<td[^>]*>([^<]*)</td>', row) for row in rows]


@pytest.mark.slow
def test_page_has_counts_sizes_bad_images_and_duplicates(written):
  sizes = [[30, 20], [640, 480], [10, 10], [50, 500], [31, 20]]
  splits = [
    described('train', [4, 1, 2], sizes),
    described('val', [2, 0], [[30, 20]] * 2, NAMES[:2]),
  ]
  bad = {f'{i}<script>.jpg': 'no <end>' for i in range(202)}
  twice = {'groups': 2, 'across_splits': 1, 'across_classes': 1}
  twice['paths'] = [['a<script>.jpg', 'b.jpg']]
  path = written(splits, bad, twice)
  text = path.read_text()
  rows = cells(text)
  assert [
    'train',
    '7',
    '狗: 1',
    '&lt;b&gt;cat&lt;/b&gt;: 4',
    '4',
    '10 × 10',
    '31 × 20',
    '640 × 480',
  ] in rows
  # Of a split with an empty class there is no ratio.
  assert ['val', '2', '狗: 0', '&lt;b&gt;cat&lt;/b&gt;: 2', '—'] in [
    row[:5] for row in rows
  ]
  assert ['JPEG', '5', '2'] in rows
  assert ['hare', '2', '0'] in [row[:3] for row in rows]
  assert text.count('no &lt;end&gt;') == 200
  assert 'And 2 more.' in text
  assert '<h1>/&lt;i&gt;data (folder)</h1>' in text
  assert text.count('<script>') == 1
  assert not re.search(r'(src|href)=["\'](?!data:|#)', text)
  assert {'Images of each class', 'Shorter side', 'Aspect ratio'} <= set(
    re.findall('aria-label="([^"]*)"', text)
  )
  with browser.chromium() as opened:
    for width, mode in ((390, 'dark'), (1280, 'light')):
      uri = path.as_uri()
      with browser.tab(opened, uri, width, color_scheme=mode) as seen:
        assert browser.overflow(seen.page) == 0
        assert seen.console == []


def test_images_of_one_size_have_no_histograms(written):
  text = written([described('train', [1, 1, 1], [[32, 32]] * 3)]).read_text()
  assert re.findall('aria-label="([^"]*)"', text)[:-1] == [
    'Images of each class'
  ]
  assert 'cannot be decoded</h2>' not in text
  assert 'more than once' not in text

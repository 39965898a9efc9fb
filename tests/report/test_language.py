"""Pages in Chinese: all of their words, and the same elements as in English."""

import collections
import dataclasses
from html import parser
import re

import numpy as np
import pytest

from inception_jax.data.prepare.describe import Description
from inception_jax.report import chinese
from inception_jax.report import confusion
from inception_jax.report import cost
from inception_jax.report import curves
from inception_jax.report import dataset
from inception_jax.report import figures
from inception_jax.report import first_batch
from inception_jax.report import language
from inception_jax.report import page
from tests.support.tiny import tiniest_config

# What a run is called and made of, the same in both languages.
NAMES = ('inception_v3', 'digits', 'AMD EPYC', 'cpu', '0.10.2', 'jax', 'USD')
NAMES += ('data.source', 'folder', 'train', 'val', 'JPEG', 'RGB', 'a.jpg')
# Chinese texts have these in Latin letters, too.
TERMS = {'top', 'nat', 'EXIF', 'JPEG', 'Pillow'}
SHOWN = ('alt', 'aria-label', 'placeholder', 'title')


class Noting(language.Translate):
  """A translation that notes what it is asked for."""

  def __init__(self, name):
    super().__init__(name)
    self.texts = set()

  def __call__(self, english, **values):
    self.texts.add(english)
    return super().__call__(english, **values)

  def known(self, text):
    self.texts |= {text} & chinese.TEXTS.keys()
    return super().known(text)


class Page(parser.HTMLParser):
  """The elements of a page outside its figures, and all that can be read."""

  def __init__(self, text):
    super().__init__()
    self.elements, self.read, self._path = [], [], []
    self.feed(text)

  def handle_starttag(self, tag, attributes):
    self._path.append(tag)
    values = dict(attributes)
    self.read += [values.pop(name) for name in SHOWN if name in values]
    values.pop('lang', None)
    if 'svg' not in self._path:
      self.elements.append((tag, values))
    if tag in ('meta', 'link', 'img', 'input', 'br'):
      self._path.pop()

  def handle_startendtag(self, tag, attributes):
    """Of shapes in a figure."""

  def handle_endtag(self, tag):
    while self._path.pop() != tag:
      pass

  def handle_data(self, data):
    if not {'style', 'script', 'metadata'} & {*self._path}:
      self.read.append(data)


def lines():
  rows = []
  for split, losses in (
    ('train', (2.0, 1.0, 0.5)),
    ('eval', (900.0, 1.0, 0.5)),
    ('eval_raw', (3.0, 1.0, 0.5)),
  ):
    for step, loss in enumerate(losses, 1):
      row = {'step': step, 'split': split, 'loss': loss, 'top1': 0.5}
      row |= {'learning_rate': 0.1, 'images_per_sec': 9.0}
      rows.append(row)
  return rows


def described_run(translate):
  """A run of which everything is known."""
  kinds = 'steps input evaluation saving compiling starting restarts other'
  run = page.Run(
    *('1', '', 'inception_v3', 'digits', 'val', [('data.source', 'folder')]),
    versions={
      'jax': '0.10.2',
      'devices': '2 × cpu',
      'machine': '2 cores of AMD EPYC',
    },
    duration='0:59',
    saved_step=3,
    seconds=dict.fromkeys(kinds.split(), 450.0),
  )
  scores = {'step': 3, 'top1': 0.5, 'top5': 0.9, 'loss': 0.5, 'count': 10}
  run.set_scores({**scores, 'balanced_accuracy': 0.5})
  image, target = np.zeros((1, 4, 4, 1), np.uint8), np.array([[0.25, 0.75]])
  run.first_batch = first_batch.described(image, target, ('猫', '狗'))
  counts = np.array([[7, 3], [0, 5]])
  run.confusion = confusion.matrices(counts, ('猫', '狗'), translate)
  for size in (3, 4):
    many = [str(i) for i in range(size)]
    counts = np.eye(size, dtype=int)
    run.confusion += confusion.matrices(counts, many, translate)
  run.confused_pairs = [
    {'label': '猫', 'predicted': '狗', 'count': 3, 'fraction': 0.3}
  ]
  taken = [('狗', 2), ('兔', 1)]
  run.classes = [
    {'name': '猫', 'count': 9, 'top1': 0.7, 'top5': 1.0, 'taken_for': taken}
  ]
  run.mistakes = [
    {
      'image': 'a.jpg',
      'labels': ['猫', '兔'],
      'picture': 'data:,',
      'predictions': [('狗', 0.9), ('猫', 0.1)],
    }
  ]
  return run


def described_split(name):
  return Description(
    name,
    ('猫', '狗'),
    np.array([2, 1]),
    np.array([[30, 20], [640, 480], [10, 10]]),
    collections.Counter(['JPEG', 'raw', 'not known']),
    collections.Counter(RGB=3),
    turned=1,
    examples={0: [b'\xff\xd8\xff'], 1: []},
  )


def pages(translate, tmp_path):
  """Renders pages that together have every text."""
  full, new = described_run(translate), page.Run('2', '', *['digits'] * 3, [])
  right = dataclasses.replace(full, confused_pairs=[], versions={})
  price = cost.Price(1.2, 'USD')
  machine = '2 cores of AMD EPYC'
  drawn = curves.curves([('1', lines())], translate)
  several = [
    (name, [{'step': 1, 'split': 'train', 'loss': 1}]) for name in '12'
  ]
  drawn += curves.curves(several, translate)
  for runs, version in (([full, new], '7'), ([right], ''), ([full, full], '')):
    parts = ('2026-01-01', machine, runs, drawn)
    yield page.render(*parts, translate, price, version)
  data = tiniest_config().data
  data.source, data.dir = 'folder', '/1'
  twice = {'groups': 2, 'across_splits': 1, 'across_classes': 1}
  twice['paths'] = [['a.jpg', 'a.jpg']]
  bad = {f'{i}': '2' for i in range(202)}
  path = tmp_path / 'data.html'
  few = described_split('train')
  few.examples[1], few.sizes[:] = few.examples[0], 10
  for splits in ([described_split('train'), described_split('val')], [few]):
    dataset.write(str(path), data, splits, bad, twice, translate)
    yield path.read_text()


@pytest.mark.slow
def test_chinese_pages_have_the_elements_of_the_english_and_no_english(
  tmp_path, monkeypatch
):
  # Figures of three and four classes are then drawn as those of thousands.
  monkeypatch.setattr(confusion, '_MOST_WITH_NAMES', 2)
  monkeypatch.setattr(confusion, '_MOST_CELLS', 3)
  english, translated = language.ENGLISH, Noting('zh')
  for one, other in zip(
    pages(english, tmp_path), pages(translated, tmp_path), strict=True
  ):
    one, other = Page(one), Page(other)
    assert one.elements == other.elements
    read = ' '.join(other.read)
    for name in NAMES:
      read = read.replace(name, '')
    assert set(re.findall('[A-Za-z]{2,}', read)) <= TERMS
  assert translated.texts == chinese.TEXTS.keys()


def test_texts_are_those_of_the_language_and_keep_names_as_they_are():
  translate = language.Translate('zh')
  assert (language.ENGLISH.tag, translate.tag) == ('en', 'zh-CN')
  text = translate('{network} on {source}', network='{x}', source='{step}')
  assert text == '{step} 上的 {x}'
  assert translate.known('{network} on {source}') == '{source} 上的 {network}'
  assert translate.known('2 cores of {x}') == '2 核 {x}'
  assert language.ENGLISH.known('2 cores of {x}') == '2 cores of {x}'
  assert translate.known('machine') == '主机'
  assert language.ENGLISH.known('machine') == 'machine'
  assert translate.known('jax') == 'jax'
  with pytest.raises(KeyError, match='no such text'):
    translate('no such text')


def test_missing_chinese_font_is_a_warning(monkeypatch, caplog):
  monkeypatch.setattr(figures, '_FONTS', ('DejaVu Sans',))
  figures.warn_of_fonts('en')
  assert not caplog.messages
  figures.warn_of_fonts('zh')
  assert 'PNG figures lack' in caplog.text

"""README_CN.md and docs/zh/ have the content of README.md and docs/."""

import collections
import re

import pytest

from tests.support import pages
from tests.support.commands import ROOT

EACH_PAIR = pytest.mark.parametrize(
  'english, chinese',
  pages.PAIRS,
  ids=[pages.name_of(english) for english, _ in pages.PAIRS],
)


def code_without_comments(text):
  """The code blocks; comments are in the page's language."""
  return [
    (language, re.sub(r'[ ]*(?<![\w"$])# .*', '', code))
    for language, code in pages.blocks(text)
  ]


def names(text):
  """What is in backticks and is the same in both languages, with its count."""
  code = [span for span in pages.spans(text) if span.isascii()]
  return collections.Counter(span for span in code if ' ' not in span)


def rows(text):
  """The number of cells of each row of a table."""
  lines = re.findall(r'^\|.*\|$', pages.prose(text), re.M)
  return [line.replace('\\|', '').count('|') for line in lines]


def targets(page, text):
  """The links, as paths of the English pages."""
  found = set()
  for link in pages.links(text):
    path = link.partition('#')[0]
    if path and '://' not in path:
      path = (page.parent / path).resolve().relative_to(ROOT).as_posix()
      path = path.replace('docs/zh/', 'docs/').replace('README_CN', 'README')
    found.add(path)
  return found


def differences(english, chinese, found):
  """Where sections differ: {title: (only in English, only in Chinese)}."""
  titles = ['', *(title for _, title in pages.headings(english))]
  pairs = zip(pages.sections(english), pages.sections(chinese), strict=True)
  results = {}
  for title, (one, other) in zip(titles, pairs, strict=True):
    one, other = found(one), found(other)
    if one != other:
      results[title] = (dict(one - other), dict(other - one))
  return results


def test_every_page_has_a_translation():
  chinese = {page.name for page in (ROOT / 'docs' / 'zh').glob('*.md')}
  assert chinese == {page.name for page in (ROOT / 'docs').glob('*.md')}
  assert len(pages.PAIRS) > 10


@EACH_PAIR
def test_the_headings_have_the_same_levels(english, chinese):
  levels, translated = (
    [level for level, _ in pages.headings(page.read_text())]
    for page in (english, chinese)
  )
  assert levels and levels == translated


@EACH_PAIR
def test_code_blocks_are_the_same_but_for_comments(english, chinese):
  code, translated = (
    code_without_comments(page.read_text()) for page in (english, chinese)
  )
  assert code == translated


@EACH_PAIR
def test_recipes_flags_and_keys_of_each_section_are_the_same(english, chinese):
  found = differences(english.read_text(), chinese.read_text(), names)
  assert found == {}


@EACH_PAIR
def test_numbers_of_each_section_are_the_same(english, chinese):
  found = differences(english.read_text(), chinese.read_text(), pages.numbers)
  assert found == {}


@EACH_PAIR
def test_tables_have_the_same_rows(english, chinese):
  assert rows(english.read_text()) == rows(chinese.read_text())


@EACH_PAIR
def test_links_lead_to_the_same_files(english, chinese):
  one = targets(english, english.read_text())
  assert one == targets(chinese, chinese.read_text())
  assert one


@pytest.mark.parametrize(
  'old, new',
  [
    ('--repair', '--repare'),
    ('`folder`', '`folders`'),
    ('1,437', '1,473'),
    ('| 2 |', '| 2 | |'),
  ],
)
def test_differences_are_noticed(old, new):
  text = '# A\n\n`--repair` `folder` 1,437\n\n| 1 | 2 |\n'
  other = text.replace(old, new)
  counters = (names, pages.numbers)
  found = [differences(text, other, counter) for counter in counters]
  assert text != other
  assert any(found) or rows(text) != rows(other)

"""Links lead somewhere, the README is short and right, the site complete."""

import re

import pytest
import yaml

import inception_jax
from tests.support import pages
from tests.support.commands import ROOT

MOST_LINES_OF_A_README = 250
ALL = sorted(
  {path for pair in pages.PAIRS for path in pair}
  | set(pages.OTHERS)
  | set((ROOT / 'benchmarks').glob('*.md'))
)


def broken_links(page, text):
  """Returns the relative links without a file or a heading."""
  broken = []
  for link in pages.links(text):
    if re.match(r'\w+://', link):
      continue
    path, _, anchor = link.partition('#')
    target = (page.parent / path).resolve() if path else page
    if not target.exists():
      broken.append(link)
    elif anchor and anchor not in pages.anchors(
      target.read_text() if path else text
    ):
      broken.append(link)
  return broken


@pytest.mark.parametrize('page', ALL, ids=pages.name_of)
def test_links_lead_somewhere(page):
  assert broken_links(page, page.read_text()) == []


@pytest.mark.parametrize(
  'link, is_broken',
  [
    ('docs/data.md', False),
    ('docs/dta.md', True),
    ('docs/data.md#sources', False),
    ('docs/data.md#source', True),
    ('#for-whom', False),
    ('#for-nobody', True),
    ('docs/zh/library.md#参数量与-flops', False),
    ('docs/zh/library.md#参数量与flops', True),
    ('launch', False),
    ('https://example.com/none', False),
  ],
)
def test_broken_links_are_noticed(link, is_broken):
  text = f'# For whom\n\n[x]({link})\n'
  found = broken_links(ROOT / 'README.md', text)
  assert found == ([link] if is_broken else [])


@pytest.mark.parametrize(
  'english, chinese',
  pages.PAIRS,
  ids=[pages.name_of(english) for english, _ in pages.PAIRS],
)
def test_translations_link_to_each_other(english, chinese):
  for page, other, language in (
    (english, chinese, '中文'),
    (chinese, english, 'English'),
  ):
    (link,) = re.findall(rf'\[{language}\]\((.*?)\)', page.read_text())
    assert (page.parent / link).resolve() == other


@pytest.mark.parametrize('name', ['README.md', 'README_CN.md'])
def test_the_readme_is_short_and_lists_every_page(name):
  text = (ROOT / name).read_text()
  assert len(text.splitlines()) <= MOST_LINES_OF_A_README
  folder = 'docs/zh' if name == 'README_CN.md' else 'docs'
  linked = {link.partition('#')[0] for link in pages.links(text)}
  assert {f'{folder}/{p.name}' for p in (ROOT / folder).glob('*.md')} <= linked
  assert 'LICENSE' in linked and 'CITATION.cff' in linked
  first = pages.commands(text)[:2]
  assert first == [['make', 'train'], ['make', 'test']]


def test_the_site_has_every_page():
  text = (ROOT / 'mkdocs.yml').read_text()
  listed = re.findall(r'^ +- ([\w/-]+\.md)$', text, re.M)
  folder = ROOT / 'docs'
  found = [str(page.relative_to(folder)) for page in folder.rglob('*.md')]
  assert sorted(listed) == sorted(found)


def test_the_summary_has_the_numbers_of_the_whole_table():
  titles = [t for _, t in pages.headings((ROOT / 'README.md').read_text())]
  parts = pages.sections((ROOT / 'README.md').read_text())[1:]
  summary = dict(zip(titles, parts, strict=True))
  whole = pages.numbers((ROOT / 'docs' / 'benchmarks.md').read_text())
  for title in ('Why this, and when not', 'Measured'):
    found = pages.numbers(summary[title])
    assert len(found) > 10
    assert found.keys() <= whole.keys()


def test_the_citation_is_of_this_version():
  citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
  assert citation['version'] == inception_jax.__version__
  assert citation['license'] == 'Apache-2.0'
  assert 'Apache License' in (ROOT / 'LICENSE').read_text()
  required = {'cff-version', 'message', 'title', 'authors'}
  assert required <= citation.keys()

"""Commands of the README and of docs/ do what the pages say, in small.

Each is run as it stands, but for two names: a folder of the file system's root
and a bucket are the sandbox's. The networks have three convolutions, recipes
train for two steps, on a dozen images.
"""

import pytest

from tests.support import pages
from tests.support import run_page
from tests.support.commands import ROOT

MIGRATION = ROOT / 'docs' / 'migration.md'


def faults_of(found, folder):
  """Runs commands once each; returns the faults of those that fail."""
  unique = {tuple(words): words for words in found}
  return [
    fault
    for words in unique.values()
    if not run_page.reason_not_to_run(words)
    if (fault := run_page.fault_of(words, folder))
  ]


@pytest.mark.slow
def test_the_pages_in_reading_order(sandbox):
  """One folder, as of someone who follows the README and then each page."""
  order = run_page.in_reading_order()
  assert sorted({*order, ROOT / 'docs' / 'README.md'}) == sorted(pages.ENGLISH)
  found = [
    words
    for path in order
    if path != MIGRATION
    for words in pages.commands(path.read_text())
  ]
  assert len(found) > 40
  faults = faults_of(found, sandbox)
  assert not faults, '\n\n'.join(faults)


@pytest.mark.slow
@pytest.mark.parametrize('title', run_page.sections(MIGRATION))
def test_each_migration(title, sandbox):
  faults = faults_of(run_page.sections(MIGRATION)[title], sandbox)
  assert not faults, '\n\n'.join(faults)


def test_commands_that_are_not_run_are_in_the_pages():
  found = [
    run_page.text_of(words)
    for path in pages.ENGLISH
    for words in pages.commands(path.read_text())
  ]
  unused = [
    start
    for start in run_page.NOT_RUN
    if not any(text.startswith(start) for text in found)
  ]
  assert unused == []
  assert all(run_page.NOT_RUN.values())

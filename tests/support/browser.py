"""Pages in headless Chromium: what they show, and what the console says."""

from collections.abc import Iterator
import contextlib
import dataclasses
import os
import shutil

from playwright import sync_api

NAMES = ('chromium', 'chromium-browser', 'google-chrome')


@dataclasses.dataclass
class Visit:
  """A page, what its console says, and the addresses that it asked for."""

  page: sync_api.Page
  console: list[str]
  asked: list[str]


@contextlib.contextmanager
def chromium(*flags) -> Iterator[sync_api.Browser]:
  """The browser. While it is open, nothing else can run an event loop."""
  path = next(filter(None, map(shutil.which, NAMES)), None)
  assert path, f'no browser among {", ".join(NAMES)}: make browser'
  # It has an allocator of its own, whatever the tests have.
  env = {k: v for k, v in os.environ.items() if k != 'LD_PRELOAD'}
  with sync_api.sync_playwright() as playwright:
    browser = playwright.chromium.launch(
      executable_path=path, args=flags, env=env
    )
    yield browser
    browser.close()


@contextlib.contextmanager
def tab(browser, address, width, **options) -> Iterator[Visit]:
  """A page in a browser that is open; `options` of Playwright's contexts."""
  viewport = {'width': width, 'height': 900}
  with browser.new_context(viewport=viewport, **options) as context:
    visit = Visit(context.new_page(), [], [])
    page = visit.page
    page.on('console', lambda message: visit.console.append(message.text))
    page.on('pageerror', lambda error: visit.console.append(str(error)))
    page.on('request', lambda request: visit.asked.append(request.url))
    page.goto(address)
    yield visit


@contextlib.contextmanager
def visit(path, width) -> Iterator[Visit]:
  """A page that is a file, in a browser of its own."""
  with (
    chromium() as browser,
    tab(browser, path.absolute().as_uri(), width) as visited,
  ):
    yield visited


def overflow(page) -> int:
  """By how many pixels the page is wider than the screen."""
  return page.evaluate('document.documentElement.scrollWidth - innerWidth')

"""Opens pages in headless Chromium, and records their console and requests."""

from collections.abc import Iterator
import contextlib
import dataclasses
import os
import shutil

from playwright import sync_api

NAMES = ('chromium', 'chromium-browser', 'google-chrome')


@dataclasses.dataclass
class Visit:
  """An open page, its console messages and errors, and the requested URLs."""

  page: sync_api.Page
  console: list[str]
  requests: list[str]


@contextlib.contextmanager
def chromium(*flags) -> Iterator[sync_api.Browser]:
  """Yields a browser. While it is open, no other event loop can run."""
  path = next(filter(None, map(shutil.which, NAMES)), None)
  assert path, f'no browser among {", ".join(NAMES)}: make browser'
  # Chromium has its own allocator; that of the tests is not preloaded.
  env = {k: v for k, v in os.environ.items() if k != 'LD_PRELOAD'}
  with sync_api.sync_playwright() as playwright:
    browser = playwright.chromium.launch(
      executable_path=path, args=flags, env=env
    )
    yield browser
    browser.close()


@contextlib.contextmanager
def tab(browser, address, width, **options) -> Iterator[Visit]:
  """Opens a page in `browser`; `options` are those of `new_context`."""
  viewport = {'width': width, 'height': 900}
  with browser.new_context(viewport=viewport, **options) as context:
    visit = Visit(context.new_page(), [], [])
    page = visit.page
    page.on('console', lambda message: visit.console.append(message.text))
    page.on('pageerror', lambda error: visit.console.append(str(error)))
    page.on('request', lambda request: visit.requests.append(request.url))
    page.goto(address)
    yield visit


@contextlib.contextmanager
def visit(path, width) -> Iterator[Visit]:
  """Opens a local file in a new browser."""
  with (
    chromium() as browser,
    tab(browser, path.absolute().as_uri(), width) as visited,
  ):
    yield visited


def overflow(page) -> int:
  """Returns by how many pixels the page is wider than the window."""
  return page.evaluate('document.documentElement.scrollWidth - innerWidth')

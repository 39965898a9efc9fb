"""Pages in headless Chromium: what they say, and what the console says."""

import shutil
import subprocess

NAMES = ('chromium', 'chromium-browser', 'google-chrome')


def visit(page, width, *flags):
  """The text of the page's document as rendered, and the console's lines."""
  browser = next(filter(None, map(shutil.which, NAMES)), None)
  assert browser, f'no browser among {", ".join(NAMES)}: make browser'
  done = subprocess.run(
    [
      browser,
      '--headless',
      '--no-sandbox',  # tests may run as root
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--hide-scrollbars',
      '--enable-logging=stderr',
      f'--window-size={width},900',
      '--virtual-time-budget=5000',
      '--dump-dom',
      *flags,
      page.absolute().as_uri(),
    ],
    capture_output=True,
    text=True,
    timeout=120,
    check=True,
  )
  console = [x for x in done.stderr.splitlines() if 'CONSOLE' in x]
  return done.stdout, console

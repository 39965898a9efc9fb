"""Serves one page to this machine's browser, and keeps it current."""

from collections.abc import Callable
from collections.abc import Sequence
from http import server
import logging
import threading

from etils import epath

from inception_jax.errors import UserError

log = logging.getLogger(__name__)

_ADDRESS = '127.0.0.1'  # never to other machines


def serve(
  render: Callable[[str], str], version: Callable[[], str], port: int
) -> None:
  """Serves until it is interrupted; logs the URL.

  Args:
    render: version → the page, which asks for /version.
    version: another one whenever the page has to be drawn again.
    port: 0 for any free one.

  Raises:
    UserError: the port is in use, or not allowed.
  """
  pages = _Pages(render, version)

  class Handler(_Handler):
    def answer(self):
      return pages.answer(self.path)

  try:
    http = server.ThreadingHTTPServer((_ADDRESS, port), Handler)
  except (OSError, OverflowError) as error:
    raise UserError(f'--port={port} cannot be used: {error}') from error
  with http:
    log.info(
      'http://%s:%d/ follows the run; Ctrl-C ends it',
      *(_ADDRESS, http.server_port),
    )
    http.serve_forever()


def state_of(paths: Sequence[str]) -> str:
  """Returns a text that changes with the content of files, some not there."""
  stats = [x.stat() if x.exists() else None for x in map(epath.Path, paths)]
  return ' '.join(f'{x.length}@{x.mtime}' if x else '0' for x in stats)


class _Pages:
  """The page, drawn once for each version, by one thread at a time."""

  def __init__(self, render, version):
    self._render, self._version = render, version
    self._lock = threading.Lock()
    self._drawn = ('', '')

  def answer(self, path: str) -> tuple[int, str, str]:
    """Returns status, type and text of the answer to a path."""
    if path == '/version':
      return 200, 'text/plain', self._version()
    if path != '/':
      return 404, 'text/plain', 'not found\n'
    with self._lock:
      version = self._version()
      if self._drawn[0] != version:
        try:
          self._drawn = version, self._render(version)
        except UserError as error:  # such as a file that is being written
          return 503, 'text/plain', f'{error}\n'
      return 200, 'text/html', self._drawn[1]


class _Handler(server.BaseHTTPRequestHandler):
  def do_GET(self):
    # A page of another site, whose name resolves to this machine, sends its
    # own name.
    port = self.server.server_port
    if self.headers.get('Host') not in (
      f'{_ADDRESS}:{port}',
      f'localhost:{port}',
    ):
      status, kind, text = 403, 'text/plain', 'only for this machine\n'
    else:
      status, kind, text = self.answer()
    content = text.encode(errors='backslashreplace')
    self.send_response(status)
    self.send_header('Content-Type', f'{kind}; charset=utf-8')
    self.send_header('Content-Length', str(len(content)))
    self.send_header('Cache-Control', 'no-store')
    self.send_header('X-Content-Type-Options', 'nosniff')
    self.end_headers()
    self.wfile.write(content)

  def log_message(self, *args):
    """Logs no requests: a page asks every few seconds."""

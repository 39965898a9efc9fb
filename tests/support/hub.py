"""A Hugging Face hub on localhost, as far as downloading files goes."""

import contextlib
import hashlib
import http.server
import threading

# Repository → branch or commit → name → content.
Repositories = dict[str, dict[str, dict[str, bytes]]]


def commit(files: dict[str, bytes]) -> str:
  """Returns the name of a commit with these files."""
  content = hashlib.sha1()
  for name in sorted(files):
    content.update(name.encode() + files[name])
  return content.hexdigest()


@contextlib.contextmanager
def serve(repositories: Repositories):
  """Serves repositories; yields the address for HF_ENDPOINT, and requests."""
  requests = []

  class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_GET(self):
      requests.append((self.command, self.path))
      parts = self.path.strip('/').split('/', 4)
      if len(parts) < 5:
        return self._fail('EntryNotFound')
      owner, name, _, revision, file = parts
      branches = repositories.get(f'{owner}/{name}')
      if branches is None:
        return self._fail('RepoNotFound')
      known = branches | {commit(files): files for files in branches.values()}
      if revision not in known:
        return self._fail('RevisionNotFound')
      if file not in known[revision]:
        return self._fail('EntryNotFound')
      content = known[revision][file]
      self._answer(
        200,
        content,
        **{
          'ETag': f'"{hashlib.sha1(content).hexdigest()}"',
          'X-Repo-Commit': commit(known[revision]),
        },
      )

    do_HEAD = do_GET

    def _fail(self, code: str):
      self._answer(404, b'', **{'X-Error-Code': code})

    def _answer(self, status: int, content: bytes, **headers: str):
      self.send_response(status)
      for header, value in headers.items():
        self.send_header(header, value)
      self.send_header('Content-Length', str(len(content)))
      self.end_headers()
      if self.command == 'GET':
        self.wfile.write(content)

    def log_message(self, *args):
      del args

  with http.server.ThreadingHTTPServer(('localhost', 0), Handler) as server:
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
      yield f'http://localhost:{server.server_port}', requests
    finally:
      server.shutdown()
      thread.join()

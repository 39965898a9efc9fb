"""The page that follows a run."""

import http.client
import logging
import re
import threading

import pytest

from inception_jax.errors import UserError
from inception_jax.report import serve


@pytest.fixture
def served(caplog):
  """Yields a function that gets a path, and the state that is served."""
  state = {'version': '1', 'drawn': 0}

  def render(version):
    if version == 'bad':
      raise UserError('config.json cannot be read')
    state['drawn'] += 1
    return f'<p>狗 {version}</p>'

  stopped = []
  original = serve.server.ThreadingHTTPServer

  class Server(original):
    def __init__(self, *args):
      super().__init__(*args)
      stopped.append(self)

  caplog.set_level(logging.INFO)
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(serve.server, 'ThreadingHTTPServer', Server)
    thread = threading.Thread(
      target=serve.serve, args=(render, lambda: state['version'], 0)
    )
    thread.start()
    while not re.search(r'127.0.0.1:(\d+)', caplog.text):
      thread.join(0.01)
    port = int(re.search(r'127.0.0.1:(\d+)', caplog.text)[1])

    def get(path, **headers):
      connection = http.client.HTTPConnection('127.0.0.1', port, timeout=30)
      connection.request('GET', path, headers=headers)
      answer = connection.getresponse()
      text = answer.read().decode()
      connection.close()
      return answer.status, text

    yield get, state, stopped[0]
    stopped[0].shutdown()
    thread.join()


def test_page_is_drawn_once_for_each_version(served):
  get, state, http_server = served
  assert http_server.server_address[0] == '127.0.0.1'
  assert get('/') == get('/') == (200, '<p>狗 1</p>')
  assert state['drawn'] == 1
  state['version'] = '2'
  assert get('/version') == (200, '2')
  assert get('/') == (200, '<p>狗 2</p>')
  assert get('/../../etc/passwd')[0] == 404
  state['version'] = 'bad'
  assert get('/') == (503, 'config.json cannot be read\n')


def test_state_changes_with_the_files(tmp_path):
  paths = [str(tmp_path / name) for name in 'ab']
  states = [serve.state_of(paths)]
  for text in ('x', 'xy'):
    (tmp_path / 'b').write_text(text)
    states.append(serve.state_of(paths))
  assert len(set(states)) == 3


def test_other_sites_get_nothing(served):
  get, _, http_server = served
  assert get('/', Host='evil.example')[0] == 403
  assert get('/', Host=f'localhost:{http_server.server_port}')[0] == 200


def test_port_in_use_is_an_error(served):
  port = served[2].server_port
  with pytest.raises(UserError, match=f'--port={port} cannot be used'):
    serve.serve(str, str, port)

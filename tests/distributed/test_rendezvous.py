"""Processes compare themselves before a run, and all report every fault."""

import concurrent.futures
import contextlib
import hmac
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time

import pytest

from inception_jax.distributed import cluster
from inception_jax.distributed import fingerprint
from inception_jax.distributed import rendezvous
from inception_jax.errors import UserError
from inception_jax.runtime.preemption import ProcessLost
from tests.support.commands import ROOT
from tests.support.hosts import free_port
from tests.support.tiny import tiny_config


def meet(*processes, configs=None, workdir='', timeout=30.0):
  """The faults that each process reports."""

  def run(i):
    try:
      config = configs[i] if configs else tiny_config()
      connections = rendezvous.meet(processes[i], config, workdir, timeout)
    except UserError as error:
      return error.faults
    except ProcessLost as error:
      return str(error)
    for connection in connections:
      connection.close()
    return ()

  with concurrent.futures.ThreadPoolExecutor(len(processes)) as pool:
    return list(pool.map(run, range(len(processes))))


def process_infos(count, port=None, indices=None):
  address = f'localhost:{port or free_port()}'
  indices = range(count) if indices is None else indices
  return [cluster.ProcessInfo(address, count, i) for i in indices]


def test_equal_processes_connect_and_leave_no_files(tmp_path):
  workdir = tmp_path / 'a' / 'run'
  assert meet(*process_infos(3), workdir=str(workdir)) == [()] * 3
  assert list(tmp_path.rglob('*')) == [workdir.parent]


def test_every_process_reports_every_difference(monkeypatch):
  real = fingerprint.fingerprint

  def changed(process, config, workdir):
    values = real(process, config, workdir)
    values['host'] = f'host{process.index}'
    if process.index == 2:
      values['code'] = 'other'
      values['versions'] = {**values['versions'], 'jax': '0.4.1'}
      values['workdir'] = '/elsewhere'
    return values

  monkeypatch.setattr(fingerprint, 'fingerprint', changed)
  configs = [tiny_config() for _ in range(3)]
  configs[1].batch_size = 24
  configs[1].optimizer.decay = 0.5
  version = fingerprint.importlib.metadata.version('jax')
  faults = meet(*process_infos(3), configs=configs, workdir='gs://bucket/run')
  assert faults[0] == (
    'process 1 on host1 has batch_size=24, process 0 on host0 16',
    'process 1 on host1 has optimizer.decay=0.5, process 0 on host0 0.9',
    f'process 2 on host2 has jax 0.4.1, process 0 on host0 {version}',
    'process 2 on host2 runs a different inception_jax than process 0 on host0',
    'process 2 on host2 has --workdir=/elsewhere, process 0 on host0 '
    'gs://bucket/run',
  )
  assert faults == faults[:1] * 3


def test_wrong_count_or_index_is_reported():
  host = fingerprint.platform.node()
  two = process_infos(2)
  faults = meet(two[0], cluster.ProcessInfo(two[0].address, 3, 2))
  assert faults[0] == (
    f'process 2 on {host} expects 3 processes, process 0 on {host} 2: check '
    '--num_processes',
  )
  assert faults[1] == faults[0]
  duplicate = process_infos(3, indices=[0, 1, 1])
  fault = (
    f'processes on {host} and on {host} both have the index 1: check '
    '--process_id'
  )
  assert meet(*duplicate) == [(fault,)] * 3


def test_missing_process_is_reported():
  three = process_infos(3)
  faults = meet(three[0], three[2], timeout=1.0)
  fault = faults[0]
  assert fault.startswith(
    f'1 of 3 processes did not connect to {three[0].address} within 1 s: 1; '
  )
  assert 'localhost is a loopback address' in fault
  assert faults[1] == faults[0]
  fault = meet(three[1], timeout=0.5)[0]
  assert fault.startswith(
    f'process 1 could not connect to process 0 at {three[0].address} within '
    '0.5 s (Connection refused)'
  )
  assert 'localhost is a loopback address' in fault


def signed(token, text):
  return hmac.digest(token, text, 'sha256').hex().encode() + b' ' + text + b'\n'


def fingerprint_with(**changes):
  """That of process 1, signed as by someone without a token."""
  _, second = process_infos(2)
  values = fingerprint.fingerprint(second, tiny_config(), '')
  return signed(b'', json.dumps({**values, **changes}).encode())


STRANGERS = {
  'nothing': lambda: b'',
  'web': lambda: b'GET / HTTP/1.1\r\n\r\n',
  'unsigned': lambda: b'{"program": "inception_jax"}\n',
  'other token': lambda: signed(b'x', b'{"program": "inception_jax"}'),
  'other program': lambda: signed(b'', b'{"program": "x"}'),
  'list': lambda: signed(b'', b'[]'),
  'nested': lambda: signed(b'', 100_000 * b'['),
  'endless': lambda: b'x' * (1 << 20),
  'number': lambda: signed(b'', b'{"index": ' + 5000 * b'1' + b'}'),
  'index': lambda: fingerprint_with(index=True),
  'negative': lambda: fingerprint_with(index=-1),
  'config': lambda: fingerprint_with(config='x'),
  'config list': lambda: fingerprint_with(config='[1]'),
  'config nested': lambda: fingerprint_with(
    config=5000 * '{"a":' + '1' + 5000 * '}'
  ),
  'type': lambda: fingerprint_with(versions=[]),
}


def test_strangers_are_refused():
  two = process_infos(2)
  with concurrent.futures.ThreadPoolExecutor() as pool:
    first = pool.submit(meet, two[0])
    for data in STRANGERS.values():
      _send(two[0], data())
    assert meet(two[1]) == [()]
    assert first.result() == [()]


def test_refused_addresses_are_reported():
  two = process_infos(2)
  with concurrent.futures.ThreadPoolExecutor() as pool:
    first = pool.submit(meet, two[0], timeout=1.0)
    _send(two[0], STRANGERS['other token']())
    (fault,) = first.result()
  assert re.search(
    r'; connections from \S*127.0.0.1 were refused: other programs, or '
    'processes with another INCEPTION_JAX_TOKEN$',
    fault,
  )


@pytest.mark.slow
@pytest.mark.parametrize('missing', [True, False])
def test_strangers_do_not_delay_the_others(missing):
  """One sends a byte now and then, others nothing."""
  first, second = process_infos(2)
  over = threading.Event()

  def drip():
    with _connect(first) as connection, contextlib.suppress(ConnectionError):
      while not over.wait(0.05):
        connection.sendall(b'x')

  with concurrent.futures.ThreadPoolExecutor() as pool:
    silent = []
    try:
      result = pool.submit(meet, first, timeout=3.0 if missing else 60.0)
      pool.submit(drip)
      silent += [_connect(first) for _ in range(150)]
      if missing:
        assert 'did not connect' in result.result(30)[0]
      else:
        assert meet(second) == [()]
        assert result.result(30) == [()]
    finally:
      over.set()
      for connection in silent:
        connection.close()


def test_only_processes_with_the_token_meet(monkeypatch):
  monkeypatch.setenv('INCEPTION_JAX_TOKEN', 'secret')
  two = process_infos(2)
  with concurrent.futures.ThreadPoolExecutor() as pool:
    first = pool.submit(meet, two[0])
    _send(two[0], fingerprint_with())
    assert meet(two[1]) == [()]
    assert first.result() == [()]
  with (
    socket.create_server(('localhost', two[0].port)) as server,
    concurrent.futures.ThreadPoolExecutor() as pool,
  ):
    second = pool.submit(meet, two[1])
    connection, _ = server.accept()
    with connection:
      assert b'secret' not in connection.recv(1 << 16)
      connection.sendall(signed(b'', b'{"faults": [], "lost": ""}'))
      (fault,) = second.result()
  assert 'is another program, or has another INCEPTION_JAX_TOKEN' in fault


def test_names_of_other_hosts_are_escaped(monkeypatch):
  real = fingerprint.fingerprint
  monkeypatch.setattr(
    fingerprint,
    'fingerprint',
    lambda process, *args: {
      **real(process, *args),
      'host': 'a\nerror: \x1b[31m' if process.index else 'b',
      'code': str(process.index),
    },
  )
  fault = (
    r'process 1 on a\nerror: \x1b[31m runs a different inception_jax than '
    'process 0 on b'
  )
  assert meet(*process_infos(2)) == [(fault,)] * 2


def _connect(process):
  for _ in range(100):
    try:
      return socket.create_connection((process.host, process.port))
    except ConnectionRefusedError:
      time.sleep(0.05)
  raise TimeoutError


def _send(process, data):
  with _connect(process) as connection, contextlib.suppress(ConnectionError):
    connection.sendall(data)


def test_port_in_use_is_reported():
  with socket.create_server(('', 0)) as server:
    port = server.getsockname()[1]
    (faults,) = meet(process_infos(2, port)[0])
  assert faults == (
    f'localhost:{port}: cannot listen on port {port} (Address already in use)',
  )


PROGRAM = """
import sys
from inception_jax.distributed import cluster
from inception_jax.distributed import rendezvous
from inception_jax.errors import UserError
from tests.support.tiny import tiny_config

process = cluster.ProcessInfo(sys.argv[1], 2, int(sys.argv[2]))
try:
  rendezvous.meet(process, tiny_config(), '/proc/self/cwd/run', 60)
except UserError as error:
  print(error)
"""


@pytest.mark.slow
def test_workdir_that_is_not_shared_is_reported(tmp_path):
  """The same path, which is a different folder in each process."""
  address = f'localhost:{free_port()}'
  processes = []
  for i in range(2):
    cwd = tmp_path / str(i)
    cwd.mkdir()
    processes.append(
      subprocess.Popen(
        [sys.executable, '-c', PROGRAM, address, str(i)],
        cwd=cwd,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
      )
    )
  host = fingerprint.platform.node()
  for process in processes:
    assert process.communicate(timeout=100)[0].splitlines() == [
      f'--workdir=/proc/self/cwd/run is not shared: process 1 on {host} does '
      f'not see what process 0 on {host} writes there'
    ]
  assert not [*tmp_path.glob('*/*')]

"""Processes compare themselves before a run, and all report every fault."""

import concurrent.futures
import os
import socket
import subprocess
import sys
import time

from inception_jax.distributed import cluster
from inception_jax.distributed import fingerprint
from inception_jax.distributed import rendezvous
from inception_jax.errors import UserError
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
  (fault,) = faults[0]
  assert fault.startswith(
    f'1 of 3 processes did not connect to {three[0].address} within 1 s: 1; '
  )
  assert 'localhost is a loopback address' in fault
  assert faults[1] == faults[0]
  (fault,) = meet(three[1], timeout=0.5)[0]
  assert fault.startswith(
    f'process 1 could not connect to process 0 at {three[0].address} within '
    '0.5 s (Connection refused)'
  )
  assert 'localhost is a loopback address' in fault


def test_connections_of_other_programs_are_ignored():
  two = process_infos(2)
  with concurrent.futures.ThreadPoolExecutor() as pool:
    first = pool.submit(meet, two[0])
    for data in (
      b'',
      b'GET / HTTP/1.1\r\n\r\n',
      b'{"program": "x"}\n',
      b'[]\n',
    ):
      _send(two[0], data)
    assert meet(two[1]) == [()]
    assert first.result() == [()]


def _send(process, data):
  for _ in range(100):
    try:
      with socket.create_connection((process.host, process.port)) as connection:
        connection.sendall(data)
      return
    except ConnectionRefusedError:
      time.sleep(0.05)


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

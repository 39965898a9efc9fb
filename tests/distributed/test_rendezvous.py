"""Processes that do not fit together say so, all of them, and why."""

import concurrent.futures
import os
import socket
import subprocess
import sys
import time

import pytest

from inception_jax.distributed import cluster
from inception_jax.distributed import fingerprint
from inception_jax.distributed import rendezvous
from inception_jax.errors import UserError
from tests.conftest import tiny_config
from tests.support.commands import ROOT
from tests.support.hosts import free_port


def come(*places, configs=None, workdir='', timeout=30.0):
  """What each says: the faults, or () where all is well."""

  def one(i):
    try:
      config = configs[i] if configs else tiny_config()
      lines = rendezvous.meet(places[i], config, workdir, timeout)
    except UserError as error:
      return error.faults
    for line in lines:
      line.close()
    return ()

  with concurrent.futures.ThreadPoolExecutor(len(places)) as pool:
    return list(pool.map(one, range(len(places))))


def places(count, port=None, indices=None):
  address = f'localhost:{port or free_port()}'
  indices = range(count) if indices is None else indices
  return [cluster.ProcessInfo(address, count, i) for i in indices]


def test_all_come_and_nothing_is_left(tmp_path):
  workdir = tmp_path / 'a' / 'run'
  assert come(*places(3), workdir=str(workdir)) == [()] * 3
  assert not list(tmp_path.iterdir())


def test_every_difference_is_named_to_all(monkeypatch):
  real = fingerprint.fingerprint

  def changed(place, config, workdir):
    about = real(place, config, workdir)
    about['host'] = f'host{place.index}'
    if place.index == 2:
      about['code'] = 'other'
      about['versions'] = {**about['versions'], 'jax': '0.4.1'}
      about['workdir'] = '/elsewhere'
    return about

  monkeypatch.setattr(fingerprint, 'fingerprint', changed)
  configs = [tiny_config() for _ in range(3)]
  configs[1].batch_size = 24
  configs[1].optimizer.decay = 0.5
  here = fingerprint.importlib.metadata.version('jax')
  found = come(*places(3), configs=configs, workdir='gs://bucket/run')
  assert found[0] == (
    'process 1 on host1 has batch_size=24, process 0 on host0 16',
    'process 1 on host1 has optimizer.decay=0.5, process 0 on host0 0.9',
    f'process 2 on host2 has jax 0.4.1, process 0 on host0 {here}',
    'process 2 on host2 runs other code of inception_jax than process 0 on '
    'host0',
    'process 2 on host2 has --workdir=/elsewhere, process 0 on host0 '
    'gs://bucket/run',
  )
  assert found == found[:1] * 3


def test_counts_and_numbers_that_do_not_fit():
  host = fingerprint.platform.node()
  two, other = places(2), places(3, indices=[2])
  other = [cluster.ProcessInfo(two[0].address, 3, 2)]
  found = come(two[0], *other)
  assert found[0] == (
    f'process 2 on {host} counts 3 processes, process 0 on {host} counts 2: '
    '--num_processes',
  )
  assert found[1] == found[0]
  twice = places(3, indices=[0, 1, 1])
  fault = (
    f'processes on {host} and on {host} both say that they are number 1: '
    '--process_id'
  )
  assert come(*twice) == [(fault,)] * 3


def test_one_that_does_not_come_is_named():
  three = places(3)
  found = come(three[0], three[2], timeout=1.0)
  (fault,) = found[0]
  assert fault.startswith('of 3 processes, 1 did not come to localhost:')
  # Of an address that every host has for itself.
  assert 'localhost is each host itself' in fault
  assert found[1] == found[0]
  (fault,) = come(three[1], timeout=0.5)[0]
  assert fault.startswith(
    f'process 1 found no process 0 at {three[0].address} within 0.5 s '
    '(Connection refused)'
  )
  assert 'localhost is each host itself' in fault


def test_strangers_are_not_counted():
  two = places(2)
  with concurrent.futures.ThreadPoolExecutor() as pool:
    first = pool.submit(come, two[0])
    for says in (
      b'',
      b'GET / HTTP/1.1\r\n\r\n',
      b'{"program": "x"}\n',
      b'[]\n',
    ):
      _say(two[0], says)
    assert come(two[1]) == [()]
    assert first.result() == [()]


def _say(place, text):
  for _ in range(100):
    try:
      with socket.create_connection((place.host, place.port)) as connection:
        connection.sendall(text)
      return
    except ConnectionRefusedError:
      time.sleep(0.05)


def test_a_port_that_is_taken():
  with socket.create_server(('', 0)) as taken:
    port = taken.getsockname()[1]
    (faults,) = come(places(2, port)[0])
  assert faults == (
    f'localhost:{port}: port {port} cannot be listened on (Address already in '
    'use)',
  )


CALLER = """
import sys
from inception_jax.distributed import cluster
from inception_jax.distributed import rendezvous
from inception_jax.errors import UserError
from tests.conftest import tiny_config

place = cluster.ProcessInfo(sys.argv[1], 2, int(sys.argv[2]))
try:
  rendezvous.meet(place, tiny_config(), '/proc/self/cwd/run', 60)
except UserError as error:
  print(error)
"""


def test_a_workdir_that_is_not_shared(tmp_path):
  """The same path, which is another folder for each of them."""
  address = f'localhost:{free_port()}'
  callers = []
  for i in range(2):
    cwd = tmp_path / str(i)
    cwd.mkdir()
    callers.append(
      subprocess.Popen(
        [sys.executable, '-c', CALLER, address, str(i)],
        cwd=cwd,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
      )
    )
  host = fingerprint.platform.node()
  for caller in callers:
    assert caller.communicate(timeout=100)[0].splitlines() == [
      f'--workdir=/proc/self/cwd/run is not shared: process 1 on {host} does '
      f'not see what process 0 on {host} writes there'
    ]
  assert not [*tmp_path.glob('*/*')]


@pytest.mark.parametrize(
  ('told', 'faults'),
  [
    (
      ('host:12', None, None),
      [
        '--num_processes is missing: each process needs it',
        '--process_id is missing: each process needs it',
      ],
    ),
    (
      ('host', 0, 0),
      [
        '--coordinator_address=host: expected HOST:PORT of process 0',
        '--num_processes=0: expected at least 1',
      ],
    ),
    (
      ('host:99999', 2, 2),
      [
        '--coordinator_address=host:99999: expected HOST:PORT of process 0',
        '--process_id=2: expected 0 to 1',
      ],
    ),
  ],
)
def test_flags_that_are_impossible(told, faults):
  with pytest.raises(UserError) as caught:
    cluster.detect(*told)
  assert list(caught.value.faults) == faults


SLURM = {
  'SLURM_JOB_ID': '4097',
  'SLURM_STEP_NODELIST': 'node[007-010],other3',
  'SLURM_NTASKS': '8',
  'SLURM_PROCID': '5',
  'SLURM_LOCALID': '1',
}
OPEN_MPI = {
  'OMPI_MCA_orte_hnp_uri': '8192.0;tcp://10.0.0.1,10.1.0.1:34911',
  'OMPI_COMM_WORLD_SIZE': '4',
  'OMPI_COMM_WORLD_RANK': '3',
  'OMPI_COMM_WORLD_LOCAL_RANK': '1',
}


@pytest.mark.parametrize(
  ('environment', 'expected'),
  [
    ({}, None),
    (SLURM, cluster.ProcessInfo('node007:61441', 8, 5, (1,))),
    (OPEN_MPI, cluster.ProcessInfo('10.0.0.1:61442', 4, 3, (1,))),
    # It keeps all its devices.
    ({**SLURM, 'SLURM_NTASKS': '1', 'SLURM_PROCID': '0'}, None),
    ({**OPEN_MPI, 'OMPI_COMM_WORLD_SIZE': '1'}, None),
  ],
)
def test_clusters_tell_where_to_meet(monkeypatch, environment, expected):
  for name in (*SLURM, *OPEN_MPI):
    monkeypatch.delenv(name, raising=False)
  for name, value in environment.items():
    monkeypatch.setenv(name, value)
  assert cluster.detect('', None, None) == expected


def test_a_cluster_that_does_not_tell(monkeypatch):
  for name, value in {**SLURM, 'SLURM_JOB_ID': 'x'}.items():
    monkeypatch.setenv(name, value)
  with pytest.raises(UserError, match='this cluster does not tell where'):
    cluster.detect('', None, None)

"""Cluster detection: flags, Slurm, Open MPI, and jax's private interface."""

import inspect

import pytest

from inception_jax.distributed import cluster
from inception_jax.errors import UserError


@pytest.mark.parametrize(
  ('given', 'faults'),
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
def test_invalid_flags_are_refused(given, faults):
  with pytest.raises(UserError) as caught:
    cluster.detect(*given)
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
    # A single process uses all devices of its host.
    ({**SLURM, 'SLURM_NTASKS': '1', 'SLURM_PROCID': '0'}, None),
    ({**OPEN_MPI, 'OMPI_COMM_WORLD_SIZE': '1'}, None),
  ],
)
def test_cluster_is_detected(monkeypatch, environment, expected):
  for name in (*SLURM, *OPEN_MPI):
    monkeypatch.delenv(name, raising=False)
  for name, value in environment.items():
    monkeypatch.setenv(name, value)
  assert cluster.detect('', None, None) == expected


def test_incomplete_environment_is_an_error(monkeypatch):
  for name, value in {**SLURM, 'SLURM_JOB_ID': 'x'}.items():
    monkeypatch.setenv(name, value)
  with pytest.raises(UserError, match='coordinator of this cluster'):
    cluster.detect('', None, None)


def test_private_interface_of_jax_is_unchanged():
  """A failure after an update of jax means: adapt `cluster.detect`."""
  from jax._src.clusters import ClusterEnv

  detect = ClusterEnv.auto_detect_unset_distributed_params
  assert list(inspect.signature(detect).parameters) == [
    'coordinator_address',
    'num_processes',
    'process_id',
    'local_device_ids',
    'cluster_detection_method',
    'initialization_timeout',
  ]
  names = {env.name for env in ClusterEnv._cluster_types}
  assert {'slurm', 'ompi', 'gcetpu', 'gketpu'} <= names

"""Fingerprints of the processes of a run, and their differences."""

import functools
import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform
from typing import Any

from inception_jax.config import differences
from inception_jax.config import serialization
from inception_jax.distributed.cluster import ProcessInfo

PROGRAM = 'inception_jax'
_PACKAGE = pathlib.Path(__file__).parent.parent
_TYPES = {
  'index': int,
  'count': int,
  'host': str,
  'workdir': str,
  'config': str,
  'code': str,
  'versions': dict,
}
_VERSIONS = ('jax', 'jaxlib', 'flax', 'optax', 'numpy')


def is_local(workdir: str) -> bool:
  """Returns whether `workdir` is a local folder: no bucket, and not ''."""
  return bool(workdir) and '://' not in workdir


def fingerprint(process: ProcessInfo, config, workdir: str) -> dict[str, Any]:
  """Returns what must be the same in all processes, with index and host.

  The values are JSON.
  """
  return {
    'program': PROGRAM,
    'index': process.index,
    'count': process.count,
    'host': platform.node(),
    'workdir': os.path.abspath(workdir) if is_local(workdir) else workdir,
    'config': serialization.to_json(config),
    'code': _code(),
    'versions': {
      'python': platform.python_version(),
      **{name: importlib.metadata.version(name) for name in _VERSIONS},
    },
  }


def is_fingerprint(message: dict) -> bool:
  """Returns whether a received message is a fingerprint."""
  return message.get('program') == PROGRAM and all(
    isinstance(message.get(key), kind) for key, kind in _TYPES.items()
  )


@functools.cache
def _code() -> str:
  """Returns the SHA-256 of the package's modules."""
  digest = hashlib.sha256()
  for path in sorted(_PACKAGE.rglob('*.py')):
    digest.update(str(path.relative_to(_PACKAGE)).encode() + path.read_bytes())
  return digest.hexdigest()


def compare(primary: dict, config, others: dict[int, dict]) -> list[str]:
  """Returns a fault for each difference between a process and process 0.

  Args:
    primary: fingerprint of process 0.
    config: the config of process 0.
    others: fingerprints of the other processes.
  """
  zero = f'process 0 on {primary["host"]}'
  faults = []
  for _, other in sorted(others.items()):
    name = f'process {other["index"]} on {other["host"]}'
    for key, value, expected in differences.differences(
      json.loads(other['config']), config
    ):
      faults.append(f'{name} has {key}={value!r}, {zero} {expected!r}')
    for package, expected in primary['versions'].items():
      if (version := other['versions'].get(package)) != expected:
        faults.append(f'{name} has {package} {version}, {zero} {expected}')
    if other['code'] != primary['code']:
      faults.append(f'{name} runs a different inception_jax than {zero}')
    if other['workdir'] != primary['workdir']:
      faults.append(
        f'{name} has --workdir={other["workdir"]}, {zero} {primary["workdir"]}'
      )
  return faults

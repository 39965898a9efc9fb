"""What a process is, and how those of one training differ."""

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

_KINDS = {
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
  """Whether it is a folder, and not a bucket or nothing."""
  return bool(workdir) and '://' not in workdir


def fingerprint(place: ProcessInfo, config, workdir: str) -> dict[str, Any]:
  """What all processes but their numbers and hosts must have alike, as JSON."""
  return {
    'program': PROGRAM,
    'index': place.index,
    'count': place.count,
    'host': platform.node(),
    'workdir': os.path.abspath(workdir) if is_local(workdir) else workdir,
    'config': serialization.to_json(config),
    'code': _code(),
    'versions': {
      'python': platform.python_version(),
      **{name: importlib.metadata.version(name) for name in _VERSIONS},
    },
  }


def is_fingerprint(said: dict) -> bool:
  """Whether what came over a connection is an `identity`."""
  return said.get('program') == PROGRAM and all(
    isinstance(said.get(key), kind) for key, kind in _KINDS.items()
  )


@functools.cache
def _code() -> str:
  """SHA-256 of the package's modules."""
  digest = hashlib.sha256()
  for path in sorted(_PACKAGE.rglob('*.py')):
    digest.update(str(path.relative_to(_PACKAGE)).encode() + path.read_bytes())
  return digest.hexdigest()


def compare(about: dict, config, others: dict[int, dict]) -> list[str]:
  """A fault for each thing that another has otherwise than process 0.

  Args:
    about: `identity` of process 0.
    config: its config.
    others: that of each other.
  """
  zero = f'process 0 on {about["host"]}'
  faults = []
  for index in sorted(others):
    said = others[index]
    name = f'process {said["index"]} on {said["host"]}'
    for key, theirs, ours in differences.differences(
      json.loads(said['config']), config
    ):
      faults.append(f'{name} has {key}={theirs!r}, {zero} {ours!r}')
    for package, ours in about['versions'].items():
      if (theirs := said['versions'].get(package)) != ours:
        faults.append(f'{name} has {package} {theirs}, {zero} {ours}')
    if said['code'] != about['code']:
      faults.append(f'{name} runs other code of inception_jax than {zero}')
    if said['workdir'] != about['workdir']:
      faults.append(
        f'{name} has --workdir={said["workdir"]}, {zero} {about["workdir"]}'
      )
  return faults

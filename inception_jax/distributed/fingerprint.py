"""Fingerprints of the processes of a run, and their differences."""

import hashlib
import importlib.metadata
import os
import pathlib
import platform
from typing import Any

from inception_jax import inputs
from inception_jax.config import differences
from inception_jax.config import serialization
from inception_jax.distributed.cluster import ProcessInfo

_PACKAGE = pathlib.Path(__file__).parent.parent
_VERSIONS = ('jax', 'jaxlib', 'flax', 'optax', 'numpy')


def is_local(workdir: str) -> bool:
  """Returns whether `workdir` is a local folder: no bucket, and not ''."""
  return bool(workdir) and '://' not in workdir


def fingerprint(process: ProcessInfo, config, workdir: str) -> dict[str, Any]:
  """Returns what all processes must share, with index and host, as JSON."""
  return {
    'program': 'inception_jax',
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


def is_fingerprint(message: dict, own: dict) -> bool:
  """Returns whether a received message has the keys and types of one's own."""
  return message.get('program') == own['program'] and all(
    isinstance(message.get(key), type(value)) for key, value in own.items()
  )


def _code() -> str:
  """Returns the SHA-256 of the package's modules."""
  digest = hashlib.sha256()
  for path in sorted(_PACKAGE.rglob('*.py')):
    digest.update(str(path.relative_to(_PACKAGE)).encode() + path.read_bytes())
  return digest.hexdigest()


def compare(primary: dict, config, others: dict[int, dict]) -> list[str]:
  """Returns a fault for each difference from process 0, the primary."""
  zero = f'process 0 on {primary["host"]}'
  faults = []
  for _, other in sorted(others.items()):
    name = f'process {other["index"]} on {other["host"]}'
    for key, value, expected in differences.differences(
      inputs.parse_json(other['config']), config
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

"""Configs as JSON."""

from collections.abc import Iterator
from collections.abc import Mapping
import json
from typing import Any

from inception_jax import inputs


def flatten(tree: Mapping, prefix: str = '') -> Iterator[tuple[str, Any]]:
  """Yields ('data.source', value) for each key of a config or parsed JSON."""
  for key, value in tree.items():
    if hasattr(value, 'items'):
      yield from flatten(value, f'{prefix}{key}.')
    else:
      yield prefix + key, value


def to_json(config) -> str:
  """Returns the resolved config as JSON, with sorted keys."""
  return json.dumps(config.to_dict(), indent=2, sort_keys=True) + '\n'


def from_json(text: str, defaults):
  """Returns the config that `to_json` wrote; missing keys get the defaults.

  Raises:
    ValueError: the text is not JSON, or a value has another type.
  """
  tuples = lambda x: tuple(map(tuples, x)) if isinstance(x, list) else x
  config = defaults.copy_and_resolve_references()
  for path, value in flatten(inputs.parse_json(text)):
    *groups, key = path.split('.')
    group = config
    for name in groups:
      group = group[name]
    if key in group and type(group[key]) is not type(tuples(value)):
      raise ValueError(f'{path}={value!r}: expected {type(group[key])}')
    group[key] = tuples(value)
  return config


def json_line(values: dict) -> str:
  """Returns one line of JSON; non-finite numbers become null."""
  return json.dumps(nan_to_none(values))


def nan_to_none(value):
  """Replaces non-finite floats, which JSON lacks, by None."""
  return json.loads(json.dumps(value), parse_constant=lambda _: None)

"""SHA-256 digests of arrays and JSON records, which detect flipped bits."""

from collections.abc import Callable
import hashlib
import json
from typing import Any

import numpy as np

from inception_jax import trees


def check_equal(
  expected: dict[str, Any],
  actual: dict[str, Any],
  equal: Callable[[Any, Any], bool],
) -> None:
  """Raises ValueError unless both have the same names with equal values."""
  if faults := [
    name
    for name in sorted(expected.keys() | actual.keys())
    if name not in expected
    or name not in actual
    or not equal(expected[name], actual[name])
  ]:
    raise ValueError(
      f'{len(faults)} of {len(expected)} arrays differ from what was saved, '
      f'the first is {faults[0]}'
    )


def describe(array: np.ndarray) -> dict[str, Any]:
  """Returns the record's entry of an array: 'shape', 'dtype' and 'sha256'."""
  return {
    'shape': list(array.shape),
    'dtype': array.dtype.name,
    'sha256': hashlib.sha256(_bytes(array)).hexdigest(),
  }


def of_tree(tree) -> str:
  """Returns the SHA-256 of a tree of arrays, with their names and dtypes."""
  leaves = trees.named_leaves(tree)
  entries = {name: describe(np.asarray(x)) for name, x in leaves.items()}
  return with_digest(entries)['sha256']


def same_bytes(a: np.ndarray, b: np.ndarray) -> bool:
  """Returns whether two arrays are bitwise equal, NaN included."""
  return np.array_equal(_bytes(a), _bytes(b))


def _bytes(array: np.ndarray) -> np.ndarray:
  return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def with_digest(values: dict[str, Any]) -> dict[str, Any]:
  """Returns {'values': values as parsed from JSON, 'sha256': of that JSON}."""
  text = json.dumps(values, sort_keys=True)
  return {
    'values': json.loads(text),
    'sha256': hashlib.sha256(text.encode()).hexdigest(),
  }

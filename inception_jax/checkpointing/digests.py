"""SHA-256 of arrays and of records, by which a flipped bit is noticed."""

import hashlib
import json
from typing import Any

import numpy as np


def check_equal(saved: dict, found: dict, same) -> None:
  """Raises ValueError unless the same names have the same values."""
  if faults := [
    name
    for name in sorted(saved.keys() | found.keys())
    if name not in saved
    or name not in found
    or not same(saved[name], found[name])
  ]:
    raise ValueError(
      f'{len(faults)} of {len(saved)} arrays are not as they were saved, '
      f'{faults[0]} among them'
    )


def describe(array: np.ndarray) -> dict[str, Any]:
  """What a record says of an array: 'shape', 'dtype' and 'sha256'."""
  return {
    'shape': list(array.shape),
    'dtype': array.dtype.name,
    'sha256': hashlib.sha256(_raw(array)).hexdigest(),
  }


def same_bytes(a: np.ndarray, b: np.ndarray) -> bool:
  """Equal to the last bit, NaN included."""
  return np.array_equal(_raw(a), _raw(b))


def _raw(array: np.ndarray) -> np.ndarray:
  """Its bytes."""
  return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def with_digest(values: dict[str, Any]) -> dict[str, Any]:
  """Values as JSON has them, with the SHA-256 of their text."""
  text = json.dumps(values, sort_keys=True)
  return {
    'values': json.loads(text),
    'sha256': hashlib.sha256(text.encode()).hexdigest(),
  }

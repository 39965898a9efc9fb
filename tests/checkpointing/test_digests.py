import json

import jax.numpy as jnp
import numpy as np
import pytest

from inception_jax.checkpointing import digests


def test_digests_are_stable():
  """Checkpoints of earlier versions must still be read."""
  assert digests.describe(np.arange(3, dtype=np.int16)) == {
    'shape': [3],
    'dtype': 'int16',
    'sha256': (
      '90c2698921ca9fd02950be353f721888760e33ab5095a21e50f1e4360b6de1a0'
    ),
  }
  stored = digests.with_digest({'b': (1, None), 'a': 'é'})
  assert stored == {
    'values': {'a': 'é', 'b': [1, None]},
    'sha256': (
      '8920de3941419361f145cefba9aa462ed7008553c0e51521d11ae067eca18a8d'
    ),
  }
  assert digests.with_digest(json.loads(json.dumps(stored))['values']) == stored


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16', 'int8', 'bool'])
def test_every_bit_counts(dtype):
  array = np.zeros((2, 3), jnp.dtype(dtype))
  other = array.copy()
  other.reshape(-1).view(np.uint8)[-1] ^= 1
  assert digests.describe(array) != digests.describe(other)
  assert not digests.same_bytes(array, other)
  # Neither the memory layout nor the sign of zero or NaN is lost.
  fortran = np.asfortranarray(array)
  assert digests.describe(array) == digests.describe(fortran)
  nan = np.array([np.nan, -0.0])
  assert digests.same_bytes(nan, nan.copy())
  assert not digests.same_bytes(nan, np.array([np.nan, 0.0]))


def test_missing_and_changed_arrays_are_counted():
  expected = {'a': 1, 'b': 2, 'c': 3}
  digests.check_equal(expected, dict(expected), lambda a, b: a == b)
  with pytest.raises(ValueError, match=r'2 of 3 arrays .* the first is b'):
    digests.check_equal(expected, {'a': 1, 'b': 9}, lambda a, b: a == b)
  with pytest.raises(ValueError, match=r'1 of 3 arrays .* the first is d'):
    digests.check_equal(expected, {**expected, 'd': 4}, lambda a, b: a == b)

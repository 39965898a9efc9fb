from fractions import Fraction
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception_jax.errors import UserError
from inception_jax.fid import Statistics
from inception_jax.fid import moments
from tests.support.commands import ROOT

_DIMENSION = 5
_update = jax.jit(Statistics.update)
_rows = jax.sharding.PartitionSpec('rows')


def _features(count=700, seed=0):
  random = np.random.RandomState(seed)
  return np.abs(random.normal(0.4, 0.5, (count, _DIMENSION))).astype(np.float32)


def _of(features, **options):
  return _update(Statistics.empty(features.shape[1], **options), features)


def _check_equal(a, b):
  same = jax.tree.map(np.array_equal, jax.device_get(a), jax.device_get(b))
  assert jax.tree.all(same), same


def _mesh():
  kinds = (jax.sharding.AxisType.Auto,)
  return jax.make_mesh((8,), ('rows',), axis_types=kinds)


def _exact(features, limit):
  """Returns the covariance of rounded features, by fractions."""
  units = np.round(features.astype(np.float64) * (2**31 / limit))
  columns = [[int(x) for x in column] for column in units.T]
  count = len(units)
  scale = Fraction(int(limit)) ** 2 / (2**62 * count * (count - 1))
  return np.array(
    [
      [
        float(scale * (count * sum(map(int.__mul__, x, y)) - sum(x) * sum(y)))
        for y in columns
      ]
      for x in columns
    ]
  )


@pytest.mark.parametrize('sign', [1, -1])
def test_the_covariance_is_exact_but_for_one_rounding(sign):
  features = _features(1300) * np.float32(sign)
  # Without variance, and with digits whose products are large and odd.
  features[:, 3] = 0x7F7F7F00 / 2**25
  features[:, 4] *= -30
  found = _of(features).moments()
  expected = _exact(features, 64)
  assert np.allclose(found.covariance, expected, rtol=1e-15, atol=0)
  mean = features.astype(np.float64).mean(0)
  assert np.abs(found.mean - mean).max() < 64 / 2**32
  assert found.count == 1300


def test_it_agrees_with_the_moments_of_the_host():
  features = _features()
  found, host = _of(features).moments(), moments.from_features(features)
  assert np.abs(found.covariance - host.covariance).max() < 1e-9


@pytest.mark.parametrize('batch', [1, 70, 512, 1300])
def test_batches_and_their_order_make_no_difference_to_the_bit(batch):
  features = _features(1300)
  found = Statistics.empty(_DIMENSION)
  for start in reversed(range(0, 1300, batch)):
    found = _update(found, features[start : start + batch])
  _check_equal(found, _of(features))


def test_eight_devices_have_the_sums_of_one():
  features = _features(1304)
  sharding = jax.sharding.NamedSharding(_mesh(), _rows)
  found = _of(jax.device_put(features, sharding))
  _check_equal(found, _of(features))


def test_each_device_has_its_own_until_they_are_summed():
  features, empty = _features(1304), Statistics.empty(_DIMENSION)
  summed = jax.shard_map(
    lambda own: empty.update(-own).update(own).sum_over('rows'),
    mesh=_mesh(),
    in_specs=_rows,
    out_specs=jax.sharding.PartitionSpec(),
  )
  expected = _update(_of(features), -features)
  _check_equal(jax.jit(summed)(features), expected)


def test_merged_statistics_are_those_of_all_rows():
  features = _features()
  merged = jax.jit(Statistics.merge)(_of(features[:33]), _of(-features[33:]))
  _check_equal(merged, _update(_of(features[:33]), -features[33:]))
  with pytest.raises(ValueError, match='another limit'):
    _of(features).merge(_of(features, limit=32.0))


@pytest.mark.parametrize('dtype', [bool, np.float32, np.int32])
def test_masked_rows_are_left_out_whatever_they_hold(dtype):
  features = _features()
  others = [np.full((3, _DIMENSION), x, np.float32) for x in (np.nan, 7)]
  padded = np.concatenate([features, *others])
  mask = (np.arange(706) < 700).astype(dtype)
  with jax.numpy_dtype_promotion('strict'), jax.numpy_rank_promotion('raise'):
    found = _update(Statistics.empty(_DIMENSION), padded, mask)
  _check_equal(found, _of(features))


def test_features_of_half_precision_are_exact():
  features = _features().astype(jnp.bfloat16)
  _check_equal(_of(features), _of(features.astype(np.float32)))


@pytest.mark.parametrize('value', [np.nan, -np.inf, 64.0])
def test_features_that_cannot_be_added_are_reported_at_the_end(value):
  features = _features()
  features[10, 2] = value
  with pytest.raises(UserError, match='1 features are not finite, or not bet'):
    _of(features).moments()
  if value == 64:
    assert _of(features, limit=128.0).moments().count == 700


def test_a_billion_rows_do_not_overflow():
  many = _of(np.full((2**10, _DIMENSION), -63.75, np.float32))
  for _ in range(20):
    many = many.merge(many)
  many = _update(many, np.full((1, _DIMENSION), 63.75, np.float32))
  found, count = many.moments(), 2**30 + 1
  assert found.count == count
  mean = -63.75 * (count - 2) / count
  assert np.allclose(found.mean, mean, rtol=1e-15)
  # (Σx² − nμ²) / (n − 1), where the difference is 4x² (n − 1) / n.
  variance = 4 * 63.75**2 / count
  assert np.allclose(found.covariance, variance, rtol=1e-14)


def test_the_distance_is_that_of_the_definition():
  # Of numbers: (μ₁ − μ₂)² + (σ₁ − σ₂)².
  a, b = np.array([[0.0], [2.0]]), np.array([[5.0], [9.0]])
  expected = 36 + (2**0.5 - 8**0.5) ** 2
  found = _of(a).distance(_of(b))
  assert found == pytest.approx(expected, rel=1e-12)
  assert _of(a).distance(moments.from_features(b)) == found


def test_limits_are_powers_of_two():
  with pytest.raises(ValueError, match='limit=60 is not a power of two'):
    Statistics.empty(3, limit=60)


def test_the_room_is_imported_without_jax():
  program = """
import sys
from inception_jax.fid import frechet, stats_file
assert 'jax' not in sys.modules
"""
  subprocess.run([sys.executable, '-c', program], cwd=ROOT, check=True)

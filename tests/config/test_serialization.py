import json

from inception_jax.config import serialization


def test_non_finite_numbers_become_null():
  line = serialization.json_line({'loss': float('nan'), 'top1': 0.5, 'step': 3})
  assert json.loads(line) == {'loss': None, 'top1': 0.5, 'step': 3}
  assert 'NaN' not in line

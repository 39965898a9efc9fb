"""The learning-rate range test."""

import json

import numpy as np
from PIL import Image
import pytest

from inception_jax.errors import UserError
from inception_jax.tools import find_rate
from tests.support.commands import tool


def test_steepest_decrease_and_moving_average():
  rates = np.geomspace(1e-5, 1.0, 51).tolist()
  losses = [2.0 - np.tanh(2 * np.log10(rate / 1e-2)) for rate in rates]
  assert find_rate.steepest(rates, losses) == pytest.approx(1e-2)
  assert find_rate.steepest(rates, losses[::-1]) is None
  assert find_rate.moving_average([3.0] * 9) == pytest.approx([3.0] * 9)


@pytest.mark.slow
def test_sweep_ends_where_training_diverges(tiniest, one_device):
  rates, losses = find_rate.sweep(tiniest, one_device, 12, 1e-3, 1e9)
  assert 3 < len(rates) < 12  # the highest rates diverge
  np.testing.assert_allclose(
    rates, np.geomspace(1e-3, 1e9, 12)[: len(rates)], rtol=1e-4
  )
  assert np.isfinite(losses).all()
  with pytest.raises(UserError, match='use a lower --lowest'):
    find_rate.sweep(tiniest, one_device, 12, 1e30, 1e32)


@pytest.mark.slow
def test_command_writes_curve_and_plot(tmp_path):
  done = tool(
    'find_rate',
    '--config=configs/digits.py',
    '--config.model.name=tiniest',
    '--config.model.aux_head=False',
    '--config.model.width=1.0',
    f'--output={tmp_path}/rates',
    '--steps=12',
  )
  assert done.returncode == 0, done.stderr
  result = json.loads(done.stdout.splitlines()[-1])
  lines = (tmp_path / 'rates' / 'rates.csv').read_text().splitlines()
  assert lines[0] == 'learning_rate,loss,smoothed'
  assert len(lines) == 1 + result['steps']
  with Image.open(result['plot']) as plot:
    assert plot.size == (960, 600)
  done = tool('find_rate', '--lowest=2', '--highest=1')
  assert done.returncode == 2
  assert len(done.stderr.splitlines()) == 3  # a line for each fault

"""The learning-rate finder."""

import numpy as np
import pytest

from inception_jax.errors import UserError
from inception_jax.tools import find_rate
from tests.support.commands import run


def test_the_steepest_descent_is_found():
  rates = np.geomspace(1e-5, 1.0, 51).tolist()
  losses = [2.0 - np.tanh(2 * np.log10(rate / 1e-2)) for rate in rates]
  assert find_rate.steepest(rates, losses) == pytest.approx(1e-2)
  assert find_rate.steepest(rates, losses[::-1]) is None
  assert find_rate.smoothed([3.0] * 9) == pytest.approx([3.0] * 9)


def test_rates_rise_until_training_diverges(tiny, one_device):
  rates, losses = find_rate.watch(tiny, one_device, 12, 1e-3, 1e9)
  assert 3 < len(rates) < 12  # the last ones are beyond all reason
  np.testing.assert_allclose(
    rates, np.geomspace(1e-3, 1e9, 12)[: len(rates)], rtol=1e-4
  )
  assert np.isfinite(losses).all()
  with pytest.raises(UserError, match='take a lower --lowest'):
    find_rate.watch(tiny, one_device, 12, 1e30, 1e32)


# The tool, with the tiny network known.
PROGRAM = (
  '-c',
  'import runpy, tests.support.tiny\n'
  'runpy.run_module("inception_jax.tools.find_rate", run_name="__main__")',
)


def test_the_command_leaves_a_curve_and_a_plot(tmp_path):
  import json

  from PIL import Image

  done = run(
    '--config=configs/digits.py',
    '--config.model.name=tiniest',
    '--config.model.aux_head=False',
    '--config.model.width=1.0',
    f'--output={tmp_path}/rates',
    '--steps=12',
    program=PROGRAM,
  )
  assert done.returncode == 0, done.stderr
  result = json.loads(done.stdout.splitlines()[-1])
  lines = (tmp_path / 'rates' / 'rates.csv').read_text().splitlines()
  assert lines[0] == 'learning_rate,loss,smoothed'
  assert len(lines) == 1 + result['steps']
  with Image.open(result['plot']) as plot:
    assert plot.size == (960, 600)
  done = run('--lowest=2', '--highest=1', program=PROGRAM)
  assert done.returncode == 2
  assert len(done.stderr.splitlines()) == 3  # each fault its line

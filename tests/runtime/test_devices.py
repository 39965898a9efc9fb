"""The flags --devices and --device_ids."""

import jax
import pytest

from inception_jax.errors import UserError
from inception_jax.runtime import devices
from tests.support import commands


@pytest.fixture
def default_device():
  """Restores jax's default device."""
  yield
  jax.config.update('jax_default_device', None)


def test_devices_are_chosen_by_number(default_device):
  found = devices.chosen('cpu', (3, 1))
  assert [device.id for device in found] == [3, 1]
  # Where an array goes that is of no mesh.
  assert jax.numpy.zeros(1).devices() == {found[0]}
  assert devices.chosen(None, ()) == jax.devices()


def test_numbers_are_checked():
  assert devices.parse_ids(['0', '2']) == (0, 2)
  for values, why in (
    (['0', 'x'], 'expected numbers'),
    (['-1'], 'expected numbers'),
    ([''], 'expected numbers'),
    (['1', '1'], 'named twice'),
  ):
    with pytest.raises(UserError, match=why):
      devices.parse_ids(values)
  with pytest.raises(UserError, match='no cpu device 8, 9; there are 0, 1, 2'):
    devices.chosen(None, (0, 8, 9))


def faults(tmp_path, *args) -> list[str]:
  done = commands.run(
    *('--config=digits', f'--workdir={tmp_path}/run', *args), devices=4
  )
  assert done.returncode == 2
  return done.stderr.splitlines()


def test_the_command_uses_the_chosen_devices(tmp_path):
  # The latter fault ends it where the batch fits, too.
  lines = faults(
    *(tmp_path, '--device_ids=1,2,3', '--config.batch_size=4'),
    '--config.seed=-1',
  )
  assert sum('batch_size=4' in line and '3' in line for line in lines) == 1
  (line,) = faults(tmp_path, '--devices=gpu')
  assert line.startswith('error: --devices=gpu: ')
  (line,) = faults(tmp_path, '--devices=cpu', '--device_ids=4')
  assert line.endswith('no cpu device 4; there are 0, 1, 2, 3')
  (line,) = faults(
    *(tmp_path, '--device_ids=0', '--coordinator_address=localhost:1234'),
    *('--num_processes=2', '--process_id=0'),
  )
  assert 'is for one process' in line


@pytest.mark.parametrize(
  'tool, arguments',
  [
    ('predict', ['--checkpoint=./x.pth', 'README.md']),
    ('features', ['--checkpoint=./x.pth', '--output={}/x.npz', 'README.md']),
    ('fid', ['--checkpoint=./x.pth', 'docs/zh', 'docs']),
    (
      'export',
      ['--checkpoint=./x.pth', '--format=onnx', '--output={}/x.onnx'],
    ),
    ('evaluate_artifact', ['--artifact=x.onnx', '--config=configs/digits.py']),
    ('find_rate', ['--output={}/rates', '--config=configs/digits.py']),
    ('import_weights', ['--weights=x.pth', '--output={}/x']),
  ],
)
def test_tools_that_compute_take_the_devices(tmp_path, tool, arguments):
  done = commands.run(
    *('--devices=cpu', '--device_ids=1,2'),
    *(text.format(tmp_path) for text in arguments),
    program=('-m', f'inception_jax.tools.{tool}'),
    devices=2,
  )
  assert done.returncode == 2
  assert done.stderr.splitlines() == [
    'error: --device_ids: there is no cpu device 2; there are 0, 1'
  ]

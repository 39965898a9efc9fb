"""Faults in the flags of the benchmark command."""

from tests.support.benchmarks import benchmark


def test_missing_torch_environment_is_an_error(tmp_path):
  done = benchmark(f'--torch={tmp_path}/python')
  assert done.returncode == 2
  assert '`make .venv-torch/ready` creates one' in done.stderr


def test_every_fault_of_a_mindspore_peer_is_reported():
  done = benchmark(
    '--what=step',
    '--mindspore=/none',
    '--network=inception_v4',
    '--config.precision=bfloat16',
  )
  assert done.returncode == 2
  assert done.stderr.splitlines() == [
    'error: --mindspore=/none is not a Python interpreter; '
    '`make .venv-mindspore/ready` creates one with mindspore and mindcv',
    'error: --mindspore supports only --config.precision=float32',
    'error: --network and --torch_compile apply only to PyTorch',
  ]

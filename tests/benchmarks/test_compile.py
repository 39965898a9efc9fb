"""The comparison with plain flax, compiled for the CPU in place of a TPU."""

import jax
import pytest

from benchmarks import compile
from inception_jax.aot import chips
from inception_jax.aot import compile_step
from inception_jax.errors import UserError
from tests.support.benchmarks import benchmark


@pytest.mark.slow
def test_unsupported_config_is_an_error():
  done = benchmark(
    '--what=compile',
    '--topology=v9:2x4',
    '--config=configs/mindspore_inception_v4.py',
    '--config.model.width=0.5',
    '--config.precision=tensorfloat32',
  )
  assert done.returncode == 2
  assert 'Traceback' not in done.stderr
  for fault in (
    'model.width=0.5: expected 1.0, to compare with plain flax',
    'model.head_batch_norm=True: expected False, to compare with plain flax',
    "precision='tensorfloat32': expected float32 or bfloat16 or float16",
    'v9',
  ):
    assert fault in done.stderr


@pytest.mark.slow
def test_step_that_does_not_fit_is_an_error(tiny, monkeypatch):
  def out_of_memory(*args):
    raise compile_step.OutOfMemory('Used 20.52G of 15.75G hbm')

  monkeypatch.setattr(chips, 'libtpu_faults', lambda: [])
  monkeypatch.setattr(chips, 'topology_devices', lambda topology: jax.devices())
  monkeypatch.setattr(compile_step, 'compile_lowered', out_of_memory)
  with pytest.raises(UserError, match='batch_size=16 does not fit in the mem'):
    compile.measure(tiny, 'v5e:2x4')


@pytest.mark.slow
def test_both_sides_are_compiled_and_compared(tiny, monkeypatch):
  monkeypatch.setattr(chips, 'libtpu_faults', lambda: [])
  monkeypatch.setattr(chips, 'topology_devices', lambda topology: jax.devices())
  monkeypatch.setattr(compile, 'version', lambda name: name)
  figures = compile.measure(tiny, 'v5e:2x4')
  assert figures['times_peak_bytes'] == pytest.approx(
    figures['ours_peak_bytes'] / figures['theirs_peak_bytes'], abs=1e-3
  )
  assert figures['times_compile_seconds'] > 0

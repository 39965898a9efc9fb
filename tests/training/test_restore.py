"""Where a training starts: from scratch, from weights, from a checkpoint."""

import jax
import numpy as np
import pytest

from inception_jax.training import restore
from inception_jax.training import run as run_lib
from tests.conftest import stored
from tests.conftest import tiniest_config


@pytest.fixture
def started(tmp_path, one_device):
  """config → (run, start) in one workdir."""

  def start(config, workdir=tmp_path / 'run', save=False):
    run = run_lib.prepare(config, str(workdir), one_device)
    with run_lib.open_checkpoints(run) as checkpoints:
      found = restore.restore_or_initialize(run, checkpoints)
      if save:
        scores = {'loss': 1.0, 'top1': 0.5, 'top5': 0.9, 'count': 360}
        config = run.config.to_dict()
        checkpoints.save(vars(found.state), scores, run.network, config)
    return run, found

  return start


@pytest.fixture
def config():
  config = tiniest_config()
  config.train_for = '6 steps'
  return config


def test_a_new_workdir_starts_from_scratch(started, config, tmp_path):
  run, start = started(config)
  assert (start.step, start.scores, start.complete) == (0, {}, False)
  assert start.state.step == 0 and run.weights is None
  assert not (tmp_path / 'run').exists()


def test_weights_are_fine_tuned(started, config, tmp_path):
  source = tmp_path / 'source'
  _, first = started(config, source, save=True)
  config.seed = 5
  config.fine_tune.checkpoint = str(source)
  _, start = started(config)
  assert start.step == 0 and start.scores == {}
  for a, b in zip(
    jax.tree.leaves(start.state.params),
    jax.tree.leaves(first.state.params),
    strict=True,
  ):
    np.testing.assert_array_equal(a, b)


def test_a_checkpoint_is_restored_with_its_scores(started, config, tmp_path):
  started(config, save=True)
  _, start = started(config)
  assert start.step == 0 and start.scores['top1'] == 0.5
  assert not start.changed and not start.complete
  on_disk = stored(tmp_path / 'run', 0)
  for name in ('params', 'batch_stats'):
    for a, b in zip(
      jax.tree.leaves(getattr(start.state, name)),
      jax.tree.leaves(on_disk[name]),
      strict=True,
    ):
      np.testing.assert_array_equal(a, b)


def test_a_reached_target_completes_a_run(started, config):
  started(config, save=True)
  config.stop_at_top1 = 0.5
  run, start = started(config)
  assert start.complete
  assert start.state is None
  assert restore.final_scores(run, start) == {'step': 0, **start.scores}

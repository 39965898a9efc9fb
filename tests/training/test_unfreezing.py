"""Gradual unfreezing: what is trained is a function of the step."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from inception_jax import trees
from inception_jax.checkpointing import lookup
from inception_jax.errors import UserError
from inception_jax.training import optimizer
from inception_jax.training import preflight
from tests.support.checkpoints import read_with_orbax
from tests.support.runs import assert_equal_states
from tests.support.runs import metrics
from tests.support.runs import short_config
from tests.support.runs import train
from tests.support.train_steps import assert_trees_close

ENTRIES = (('mixed_2a', '2 steps'), ('*', '4 steps'))


def gradual_config():
  """Six steps: of the head, of mixed_2a from 3 on, of all from 5 on."""
  config = short_config()
  config.fine_tune.freeze = ('!head', '*')
  config.fine_tune.unfreeze_at = ENTRIES
  config.optimizer.update(name='adamw', clip_norm=0.1)
  config.schedule.update(warmup='0 steps', learning_rate=1e-2)
  config.eval_every = '6 steps'
  config.checkpoint_every = config.log_every = '1 step'
  config.checkpoint_keep = 9
  return config


@pytest.fixture(scope='module')
def gradual_run(tmp_path_factory, one_device):
  workdir = tmp_path_factory.mktemp('gradual')
  train(workdir, gradual_config(), one_device)
  return workdir


def moved(workdir, step):
  """Top-level modules whose parameters, and statistics, a step changes."""
  before, after = (read_with_orbax(workdir, s) for s in (step - 1, step))
  return tuple(
    {
      path.partition('/')[0]
      for path, x in trees.named_leaves(after[kind]).items()
      if not np.array_equal(x, trees.named_leaves(before[kind])[path])
    }
    for kind in ('params', 'batch_stats')
  )


def test_each_phase_trains_what_is_unfrozen(gradual_run):
  body = {'conv_1a', 'mixed_2a'}
  for step, trained in ((2, set()), (3, {'mixed_2a'}), (4, {'mixed_2a'})):
    assert moved(gradual_run, step) == ({'head'} | trained, trained)
  assert moved(gradual_run, 5) == ({'head'} | body, body)


def test_optimizer_goes_on_with_what_was_trained(gradual_run):
  leaves = trees.named_leaves(read_with_orbax(gradual_run, 6)['opt_state'])
  counts = [int(x) for name, x in leaves.items() if name.endswith('0/count')]
  assert sorted(counts) == [2, 4, 6]  # Adam's steps


# After the last step of a phase, and within one.
@pytest.mark.parametrize('step', [2, pytest.param(3, marks=pytest.mark.slow)])
def test_resume_is_bitwise(step, gradual_run, tmp_path, one_device, caplog):
  workdir = shutil.copytree(gradual_run, tmp_path / 'run')
  for later in range(step + 1, 7):
    shutil.rmtree(lookup.checkpoint_folder(str(workdir)) / str(later))
  with caplog.at_level('INFO', 'inception_jax'):
    train(workdir, gradual_config(), one_device)
  lines = [
    line
    for line in caplog.text.splitlines()
    if 'parameters are trained' in line
  ]
  assert f'from step {step + 1} on, 0.00 of 0.00 M' in lines[0]
  assert lines[0].endswith(': head, mixed_2a')
  assert 'from step 5 on' in lines[1] and lines[1].endswith(': all')
  assert_equal_states(
    read_with_orbax(gradual_run, 6), read_with_orbax(workdir, 6)
  )
  losses = [
    [line['loss'] for line in metrics(run, 'train')]
    for run in (gradual_run, workdir)
  ]
  assert losses[0] == losses[1]


def test_what_is_unfrozen_has_an_optimizer_state_of_its_own():
  options = gradual_config().optimizer
  params = {'body': {'kernel': jnp.ones(3)}, 'head': {'kernel': jnp.ones(2)}}
  rng = np.random.default_rng(0)
  grads = [
    jax.tree.map(lambda x: np.float32(rng.normal(size=x.shape)), params)
  ] * 4
  rate = lambda step: 0.1 / (1 + step)
  first = ('!head', '*')
  one, two = (
    optimizer.make_optimizer(options, rate, 0.0, freeze, earlier)
    for freeze, earlier in ((first, ()), (('!*', *first), (first,)))
  )

  # Clipped together, but with Adam's moments and count for each.
  adam = optax.adamw(1.0, weight_decay=0.0)
  states = {'head': adam.init(params['head'])}
  state, ours, expected = one.init(params), params, dict(params)
  for step, grad in enumerate(grads):
    if step == 2:
      fresh = optimizer.with_step(two.init(params), jnp.int32(step))
      state = trees.update(fresh, state)
      states['body'] = adam.init(params['body'])
    zero = jax.tree.map(jnp.zeros_like, grad)
    grad = {k: grad[k] if k in states else zero[k] for k in grad}
    updates, state = (two if step >= 2 else one).update(grad, state, ours)
    ours = optax.apply_updates(ours, updates)

    scale = 0.1 / optax.tree.norm(grad)
    for name in states:
      update, states[name] = adam.update(
        optax.tree.scale(scale, grad[name]), states[name], expected[name]
      )
      expected[name] = optax.apply_updates(
        expected[name], optax.tree.scale(rate(step), update)
      )
  assert_trees_close(ours, expected, rtol=1e-6)


def test_all_faults_are_told_at_once(tmp_path, one_device):
  config = gradual_config()
  config.fine_tune.freeze = ('!head', '*')
  config.fine_tune.unfreeze_at = (
    ('conv_9z', '2 steps'),
    ('head', '1 step'),
    ('*', '6 steps'),
  )
  with pytest.raises(UserError) as caught:
    train(tmp_path / 'run', config, one_device)
  entry = 'fine_tune.unfreeze_at: '
  assert caught.value.faults == (
    f"{entry}'head' at '1 step', step 1, is not after step 2, of the entry "
    'before',
    f"{entry}'*' at '6 steps', step 6, is not before the last step, 6",
    f"{entry}'conv_9z' matches no parameter",
    f"{entry}'head' matches only parameters that are trained before; name them "
    'in fine_tune.freeze',
  )
  assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize(
  'value, fault',
  [
    (('*', '2 steps'), 'expected (glob, duration) pairs, as '),
    ((('*', 2),), 'expected (glob, duration) pairs, as '),
    ((('*', '5 percent'),), "='5 percent': expected a number and unit, as "),
    ((('*', '0 steps'),), "='0 steps': expected more than 0"),
  ],
)
def test_entries_are_checked_before_the_data(value, fault):
  config = gradual_config()
  config.fine_tune.unfreeze_at = value
  faults = preflight.of_config(config)
  assert faults[0].startswith('fine_tune.unfreeze_at=') and fault in faults[-1]

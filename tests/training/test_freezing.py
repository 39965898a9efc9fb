"""Training steps that differentiate only what is trained."""

import jax
import jmp
import numpy as np
import optax
import pytest

from inception_jax import trees
from inception_jax.data import pipeline
from inception_jax.data.augment import transforms
from inception_jax.training import objective
from inception_jax.training import optimizer
from tests.support.train_steps import assert_trees_close
from tests.support.train_steps import make_steps
from tests.support.train_steps import make_trainer

FREEZE = {
  'head': ('!head', '*'),
  'last block': ('!head', '!mixed_3a', '*'),
  'kernels only': ('*/bn/*',),
}


def masked_steps(config, mesh, steps: int):
  """Trains with all gradients, of which the optimizer drops some."""
  trainer = make_trainer(config, mesh)
  loss = objective.make_objective(config, trainer.model)
  tx = optimizer.make_optimizer(
    config.optimizer,
    optax.constant_schedule(0.05),
    config.weight_decay,
    config.fine_tune.freeze,
  )

  @jax.jit
  def step(state, batch):
    key = jax.random.fold_in(jax.random.key(config.seed), state.step)
    augment_key, dropout_key = jax.random.split(key)
    images, targets = transforms.train_batch(
      augment_key, batch, config.data, trainer.model.num_classes
    )
    grads, (_, _, stats) = jax.grad(loss, argnums=1, has_aux=True)(
      jmp.NoOpLossScale(),
      *(state.params, state.batch_stats),
      *(images, targets, dropout_key),
    )
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    return state.replace(
      step=state.step + 1,
      params=optax.apply_updates(state.params, updates),
      batch_stats=stats,
      opt_state=opt_state,
    )

  state, _, batches = make_steps(config, mesh)
  for batch in batches[:steps]:
    state = step(state, batch)
  return state


@pytest.mark.slow
@pytest.mark.parametrize('trained', ['last block', 'kernels only'])
def test_frozen_layers_train_as_if_their_gradients_were_masked(
  trained, tiny, one_device
):
  tiny.fine_tune.freeze = FREEZE[trained]
  tiny.optimizer.clip_norm = 0.1
  state, step, batches = make_steps(tiny, one_device)
  first = state.params
  for batch in batches[:3]:
    state, _ = step(state, batch)
  expected = masked_steps(tiny, one_device, 3)
  kinds = lambda s: (s.params, s.batch_stats, s.opt_state)
  assert_trees_close(kinds(state), kinds(expected), rtol=0, atol=1e-6)
  for path, before in trees.named_leaves(first).items():
    after = trees.named_leaves(state.params)[path]
    frozen = trees.is_frozen(path, FREEZE[trained])
    assert np.array_equal(before, after) == frozen, path


@pytest.mark.parametrize('trained, kernels', [('head', 0), ('last block', 1)])
def test_only_trained_layers_run_backward(trained, kernels, tiny, one_device):
  tiny.fine_tune.freeze = FREEZE[trained]
  tiny.model.aux_head = False
  trainer = make_trainer(tiny, one_device)
  batch = pipeline.train_batch_spec(tiny)
  program = str(trainer.step().trace(trainer.abstract, batch).jaxpr)
  assert program.count('= inception_conv[') == 6
  assert program.count('= inception_conv_kernel_gradient[') == kernels
  # The input of the first trained layer needs no gradient.
  assert program.count('= inception_conv_input_gradient[') == 0


def test_norms_leave_out_frozen_parameters(tiny, one_device):
  tiny.fine_tune.freeze = FREEZE['head']
  state, step, batches = make_steps(tiny, one_device)
  _, metrics = step(state, batches[0])
  assert metrics['norms']['grad_norms'].shape == (2,)  # kernel and bias
  assert metrics['norms']['param_norms'].shape == (2,)


def test_moving_average_of_frozen_parameters_stays(tiny, one_device):
  tiny.fine_tune.freeze, tiny.ema_decay = FREEZE['head'], 0.9
  state, step, batches = make_steps(tiny, one_device)
  after, _ = step(state, batches[0])
  before = trees.named_leaves(state.ema['params'])
  for path, x in trees.named_leaves(after.ema['params']).items():
    assert np.array_equal(x, before[path]) != path.startswith('head'), path


@pytest.mark.slow
@pytest.mark.parametrize('setting', ['', 'all', 'none'])
def test_batch_norm_statistics_are_frozen_apart_from_weights(
  setting, tiny, one_device
):
  tiny.fine_tune.freeze = ('conv_1a',)
  tiny.fine_tune.freeze_batch_norm = setting
  state, step, batches = make_steps(tiny, one_device)
  after, _ = step(state, batches[0])
  before = trees.named_leaves(state.batch_stats)
  frozen = {
    path.partition('/')[0]
    for path, x in trees.named_leaves(after.batch_stats).items()
    if np.array_equal(x, before[path])
  }
  stages = {path.partition('/')[0] for path in before}
  assert frozen == {'': {'conv_1a'}, 'all': stages, 'none': set()}[setting]
  # Their γ and β are trained, unless they are frozen.
  moved = {
    path.partition('/')[0]
    for path, x in trees.named_leaves(after.params).items()
    if '/bn/' in path
    and not np.array_equal(x, trees.named_leaves(state.params)[path])
  }
  assert moved == stages - {'conv_1a'}

"""Configs with the keys of MindCV."""

import pytest

from inception_jax.config.migration import mindcv
from inception_jax.errors import UserError

V3 = {
  'model': 'inception_v3',
  'opt': 'momentum',
  'lr': 0.5,
  'epoch_size': 30,
  'warmup_epochs': 5,
  'decay_epochs': 25,
  'batch_size': 16,
  'image_resize': 299,
  'aux_factor': 0.1,
  'num_classes': None,
}


def mapped(**changes):
  devices = changes.pop('devices', None)
  migration = mindcv.migrate(V3 | changes, devices)
  assert not migration.refused
  return {key: value for key, (value, _) in migration.mapped.items()}


def test_values_and_defaults():
  found = mapped(devices=2, auto_augment='autoaug-mstd0.3', re_prob=0.25)
  # Given.
  assert found['model.name'] == 'inception_v3'
  assert found['optimizer.name'] == 'sgd'
  assert found['batch_size'] == found['schedule.batch_size'] == 32
  assert found['schedule.learning_rate'] == 0.5
  assert found['train_for'] == '30 epochs'
  assert found['schedule.warmup'] == '5 epochs'
  assert found['model.aux_head'] and found['aux_loss_weight'] == 0.1
  assert found['data.policy'] == 'autoaugment_original'
  assert found['data.policy_noise'] == 0.3
  assert found['data.erase'] == 0.25
  # The short side is floor(299 / 0.875) = 341 by MindCV's default.
  assert found['data.eval_crop_fraction'] == 299 / 341
  # MindCV's defaults, which are not those of the recipe.
  assert found['weight_decay'] == 1e-6
  assert found['label_smoothing'] == 0.0
  assert found['schedule.end_learning_rate'] == 1e-6
  assert found['seed'] == 42
  assert found['eval_every'] == '100 percent'
  assert found['precision'] == 'float32'
  assert 'model.num_classes' not in found
  assert 'data.color_jitter' not in found


def test_values_that_depend_on_others():
  found = mapped(
    **{'color_jitter': [0.1, 0.2, 0.3], 'amp_level': 'O2', 'loss_scale': 8},
    **{'gradient_accumulation_steps': 3, 'ema': True, 'clip_grad': True},
    **{'val_while_train': True, 'val_interval': 2, 'opt': 'rmsprop'},
    **{'weight_decay_filter': 'norm_and_bias', 'aux_factor': 0},
    **{
      'cutmix_prob': 0.0,
      'loss': 'bce',
      'warmup_factor': 0.1,
      'hflip': 0,
      're_value': 'random',
    },
  )
  assert found['data.color_jitter'] == (0.1, 0.2, 0.3, 0.0)
  assert (found['precision'], found['loss_scale']) == ('float16', 8)
  # Theirs accumulates whole batches, ours parts of one.
  assert found['batch_size'] == 48 and found['gradient_accumulation'] == 3
  assert found['ema_decay'] == 0.9999
  assert found['optimizer.clip_norm'] == 15.0
  assert found['eval_every'] == '2 epochs'
  assert found['optimizer.epsilon'] == 1e-10
  assert found['optimizer.decay_on'] == ('*/kernel',)
  assert not found['model.aux_head'] and not found['data.flip']
  assert found['schedule.init_learning_rate'] == 0.05
  assert found['data.erase_with'] == 'noise'
  assert found['loss'] == 'binary_cross_entropy'
  assert mapped()['data.color_jitter'] == (0.4, 0.4, 0.4, 0.0)


def test_steps_count_from_the_end_of_the_warm_up():
  found = mapped(
    scheduler='multi_step_decay', multi_step_decay_milestones=[10, 20.5]
  )
  assert found['schedule.name'] == 'multi_step'
  assert found['schedule.milestones'] == ('15 epochs', '25.5 epochs')
  assert found['schedule.decay_rate'] == 0.9
  found = mapped(scheduler='step_decay', decay_epochs=10, decay_rate=0.5)
  assert found['schedule.milestones'] == ('15 epochs', '25 epochs')
  assert found['schedule.decay_rate'] == 0.5
  found = mapped(
    scheduler='exponential_decay', warmup_epochs=0, lr_epoch_stair=True
  )
  assert found['schedule.decay_every'] == '1 epoch'
  assert found['schedule.staircase'] is True


@pytest.mark.parametrize(
  ('changes', 'refused'),
  [
    ({'opt': 'adam'}, 'opt'),
    ({'opt': ['sgd']}, 'opt'),
    ({'scheduler': 'cyclic'}, 'scheduler'),
    ({'scheduler': 'exponential_decay'}, 'scheduler'),
    ({'decay_epochs': 20}, 'decay_epochs'),
    ({'lr_epoch_stair': True}, 'lr_epoch_stair'),
    ({'num_cycles': 2}, 'num_cycles'),
    ({'vflip': 0.5}, 'vflip'),
    ({'hflip': 0.3}, 'hflip'),
    ({'dataset': 'cifar10'}, 'dataset'),
    ({'interpolation': 'bicubic'}, 'interpolation'),
    ({'crop_pct': 0}, 'crop_pct'),
    ({'auto_augment': 'augmix'}, 'auto_augment'),
    ({'color_jitter': [1, 2]}, 'color_jitter'),
    ({'re_value': 7}, 're_value'),
    ({'scale': 0.5}, 'scale'),
    ({'mixup': 0.2, 'cutmix_prob': 0.5}, 'cutmix_prob'),
    ({'pretrained': True}, 'pretrained'),
    ({'layer_decay': 0.7}, 'layer_decay'),
    ({'weight_decay_filter': 'auto'}, 'weight_decay_filter'),
    ({'loss': 'JSD'}, 'loss'),
    ({'amp_level': 'O9'}, 'amp_level'),
    ({'lr': 'high'}, 'lr'),
    ({'epochs': 3}, 'epochs'),
    (
      {'scheduler': 'multi_step_decay', 'multi_step_decay_milestones': 3},
      'multi_step_decay_milestones',
    ),
  ],
)
def test_other_values_are_refused(changes, refused):
  migration = mindcv.migrate(V3 | changes, 1)
  assert migration.refused.keys() == {refused}


def test_every_key_is_mapped_dropped_or_refused():
  values = V3 | {'distribute': False, 'vflip': 0.0, 'eps': 1, 'lr_decay': 2}
  migration = mindcv.migrate(values, 1)
  origins = ' '.join(origin for _, origin in migration.mapped.values())
  for key, value in values.items():
    if value is not None:
      assert (
        f'{key}: ' in origins
        or key in migration.dropped
        or key in migration.refused
      ), key


def test_the_number_of_devices_and_the_network_must_be_known():
  with pytest.raises(UserError, match='--num_devices=8'):
    mindcv.migrate(V3 | {'distribute': True}, None)
  with pytest.raises(UserError, match='expected inception_v3 or inception_v4'):
    mindcv.migrate(V3 | {'model': 'resnet50'}, 1)

"""Configs with the keys of MindSpore's inceptionv3 and inceptionv4."""

import pytest

from inception_jax.config.migration import mindspore
from inception_jax.errors import UserError

V3 = {
  'epoch_size': 7,
  'lr_max': '2e-1',
  'lr_init': 0.01,
  'warmup_epochs': 2,
  'opt_eps': 0.5,
  'batch_size': 16,
  'smooth_factor': 0.2,
  'num_classes': 5,
  'dropout_keep_prob': 0.7,
  'platform': 'GPU',
  'amp_level': 'O0',
  'loss_scale': 64,
}
V4 = {'epoch_size': 7, 'lr_max': 0.2, 'epsilon': 1.0, 'smooth_factor': 0.2}


def mapped(values, devices=None):
  migration = mindspore.migrate(values, devices)
  assert not migration.refused
  assert migration.mapped.keys() or migration.dropped.keys()
  return {key: value for key, (value, _) in migration.mapped.items()}


def test_values_of_inception_v3():
  migration = mindspore.migrate(V3, 4)
  assert migration.base == 'mindspore_inception_v3'
  found = mapped(V3, 4)
  expected = {
    'train_for': '7 epochs',
    'schedule.learning_rate': 0.2,
    'schedule.init_learning_rate': 0.01,
    'schedule.warmup': '2 epochs',
    'optimizer.epsilon': 0.5,
    # Of four devices, and the rate is meant for them.
    'batch_size': 64,
    'schedule.batch_size': 64,
    # 0.2 goes to the 4 other classes there, to all 5 here.
    'label_smoothing': 0.25,
    'model.num_classes': 5,
    'model.dropout_rate': 0.3,
    'precision': 'float32',
    'data.source': 'folder',
    'data.eval_split': 'val',
    'schedule.name': 'cosine',
    'data.image_size': 299,
  }
  assert found == expected
  assert migration.dropped.keys() == {'platform', 'loss_scale'}


def test_values_of_inception_v4():
  found = mapped(V4 | {'amp_level': 'O3', 'loss_scale': 1024})
  assert found['precision'] == 'float16' and found['loss_scale'] == 1024
  assert found['optimizer.epsilon'] == 1.0
  # They declare it, and their loss does not apply it.
  assert 'label_smoothing' not in found
  assert mindspore.migrate(V4, None).base == 'mindspore_inception_v4'


def test_cifar_weights_and_steps():
  found = mapped(V3 | {'ds_type': 'cifar10', 'resume': 'a.ckpt'})
  assert found['data.source'] == 'cifar' and 'data.eval_split' not in found
  assert found['fine_tune.checkpoint'] == './a.ckpt'
  assert found['batch_size'] == 16
  migration = mindspore.migrate(V3 | {'ds_type': 'cifar10'}, 1)
  assert migration.base == 'mindspore_inception_v3_cpu'
  found = mapped(V3 | {'decay_method': 'steps', 'save_checkpoint_epochs': 1})
  assert found['schedule.name'] == 'multi_step'
  assert found['schedule.milestones'] == (
    *('30 percent', '60 percent', '80 percent'),
  )
  assert found['checkpoint_every'] == '1 epoch'


@pytest.mark.parametrize(
  ('key', 'value', 'why'),
  [
    ('lr_max', 'x', 'expected a number'),
    ('lr_max', True, 'expected a number'),
    ('lr_max', float('inf'), 'expected a finite number'),
    ('epoch_size', -1, 'expected at least 0'),
    ('epoch_size', None, 'expected a number'),
    ('batch_size', 1.5, 'expected a whole number'),
    ('num_classes', 10**400, 'expected a'),
    ('ds_type', 'coco', 'expected imagenet or cifar10'),
    ('ds_type', ['imagenet'], 'expected text'),
    ('height', 224, 'images are squares'),
    ('decay_method', 'steps_decay', 'expected cosine or steps'),
    ('amp_level', 'O1', 'expected O0, O2 or O3'),
    ('start_epoch', 5, 'a training starts with its first epoch'),
    ('enable_profiling', 'maybe', 'expected True or False'),
    ('lr_decay', 1, 'not a key of these configs'),
  ],
)
def test_other_values_are_refused(key, value, why):
  migration = mindspore.migrate(V3 | {key: value}, 1)
  (refused,) = migration.refused.values()
  assert why in refused


def test_the_number_of_devices_and_the_network_must_be_known():
  with pytest.raises(UserError, match='--num_devices=8'):
    mindspore.migrate(V3 | {'is_distributed': True}, None)
  with pytest.raises(UserError, match='neither a config of inceptionv3'):
    mindspore.migrate({'epoch_size': 1, 'lr_max': 1}, None)

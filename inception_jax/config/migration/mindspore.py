"""The configs of mindspore-ai/models, official/cv/Inception."""

from typing import Any

from inception_jax.config.migration import migration as lib
from inception_jax.config.migration.migration import Migration
from inception_jax.errors import UserError

_V3 = {'opt_eps', 'aux_factor', 'dropout_keep_prob', 'has_bias', 'decay_method'}
_V4 = {'decay', 'epsilon'}
_MODELARTS = 'ModelArts copies files of its own cloud'
_DEVICES = 'all visible devices compute; main.py has --devices, --device_ids'
_EXPORT = 'a flag of tools.export'
_THREADS = 'all cores read images; data.workers limits them'

_COMMON: lib.Table = {
  'epoch_size': ('train_for', lib.epochs),
  'num_classes': ('model.num_classes', lib.whole),
  'lr_init': ('schedule.init_learning_rate', lib.number),
  'lr_max': ('schedule.learning_rate', lib.number),
  'lr_end': ('schedule.end_learning_rate', lib.number),
  'warmup_epochs': ('schedule.warmup', lib.epochs),
  'weight_decay': ('weight_decay', lib.number),
  'momentum': ('optimizer.momentum', lib.number),
  'opt_eps': ('optimizer.epsilon', lib.number),
  'epsilon': ('optimizer.epsilon', lib.number),
  'decay': ('optimizer.decay', lib.number),
  'aux_factor': ('aux_loss_weight', lib.number),
  'keep_checkpoint_max': ('checkpoint_keep', lib.whole),
  'save_checkpoint_epochs': ('checkpoint_every', lib.epochs),
  'random_seed': ('seed', lib.whole),
  'dataset_path': ('data.dir', lib.text),
  'device_target': _DEVICES,
  'platform': _DEVICES,
  'device_id': _DEVICES,
  'is_distributed': _DEVICES,
  'group_size': _DEVICES,
  'work_nums': _THREADS,
  'num_parallel_workers': _THREADS,
  'ds_sink_mode': 'batches are read ahead anyway',
  'is_save_on_master': 'one process writes, always',
  'has_bias': 'BatchNorm cancels a bias before it',
  'ckpt_path': '--workdir holds a run',
  'ckpt_save_dir': '--workdir holds a run',
  'checkpoint': '--checkpoint of main.py --mode=eval',
  'checkpoint_path': '--checkpoint of main.py --mode=eval',
  'ckpt_file': _EXPORT,
  'onnx_file': '--artifact of tools.evaluate_artifact',
  'file_name': _EXPORT,
  'file_format': _EXPORT,
  'result_path': 'a flag of their postprocess.py',
  'label_file': 'a flag of their postprocess.py',
  'enable_modelarts': _MODELARTS,
  'modelarts_dataset_unzip_name': _MODELARTS,
  'need_modelarts_dataset_unzip': _MODELARTS,
  'data_url': _MODELARTS,
  'train_url': _MODELARTS,
  'checkpoint_url': _MODELARTS,
  'data_path': _MODELARTS,
  'output_path': _MODELARTS,
  'load_path': _MODELARTS,
}
_SPECIAL = {
  *('batch_size', 'ds_type', 'smooth_factor', 'dropout_keep_prob', 'width'),
  *('height', 'decay_method', 'amp_level', 'loss_scale', 'start_epoch'),
  *('resume', 'enable_profiling'),
}


def is_dialect(values: dict[str, Any]) -> bool:
  """Returns whether a config has the keys of these."""
  return {'epoch_size', 'lr_max'} <= values.keys()


def migrate(values: dict[str, Any], devices: int | None) -> Migration:
  """Maps, drops or refuses every key.

  Args:
    values: of the config.
    devices: how many there were; `batch_size` is that of each. None: one.

  Raises:
    UserError: the network is unknown, or the number of devices.
  """
  result = Migration(values, frozenset(values))
  v3, v4 = values.keys() & _V3, values.keys() & _V4
  if bool(v3) == bool(v4):
    raise UserError(
      'neither a config of inceptionv3 (with opt_eps, aux_factor) nor of '
      'inceptionv4 (with epsilon, decay)'
    )
  lib.check_devices(values, 'is_distributed', devices)
  name = 'inception_v3' if v3 else 'inception_v4'
  result.base = f'mindspore_{name}'
  _data(result, devices or 1)
  _precision(result, bool(v3))
  _schedule(result)
  if v3:
    _network(result)
  else:
    result.drop('smooth_factor', 'their loss does not apply it')
  result.take(_COMMON)
  result.finish(_COMMON.keys() | _SPECIAL)
  return result


def _data(m: Migration, devices: int) -> None:
  if batch_size := m.get('batch_size', lib.whole):
    m.map('batch_size', batch_size * devices, 'batch_size')
    # Their rates do not depend on the batch.
    m.map('schedule.batch_size', batch_size * devices, 'batch_size')
  match m.get('ds_type', lib.text, 'imagenet'):
    case 'imagenet':
      m.map('data.source', 'folder', 'ds_type')
      m.map('data.eval_split', 'val', 'ds_type')
    case 'cifar10':
      m.base += '_cpu'
      m.map('data.source', 'cifar', 'ds_type')
    case _:
      m.refuse('ds_type', 'expected imagenet or cifar10')
  sizes = {m.get(side, lib.whole, 299) for side in ('width', 'height')}
  if len(sizes) == 1:
    m.map('data.image_size', *sizes, 'width', 'height')
  else:
    m.refuse('width', 'images are squares')
  if path := m.get('resume', lib.text):
    # It loads weights, and neither the optimizer's state nor a step.
    m.map(
      'fine_tune.checkpoint', path if '/' in path else f'./{path}', 'resume'
    )
  else:
    m.drop('resume', 'the same command resumes a run')
  if m.get('enable_profiling', lib.flag):
    m.map('profile', '100 steps', 'enable_profiling')
  else:
    m.drop('enable_profiling', 'off')
  if m.get('start_epoch', lib.number, 1) == 1:
    m.drop('start_epoch', 'a resume continues at its step')
  else:
    m.refuse('start_epoch', 'a training starts with its first epoch')


def _precision(m: Migration, v3: bool) -> None:
  level = m.get('amp_level', lib.text, 'O0')
  if level not in ('O0', 'O2', 'O3'):
    m.refuse('amp_level', 'expected O0, O2 or O3')
    return
  m.map('precision', 'float32' if level == 'O0' else 'float16', 'amp_level')
  if level != 'O0':
    if scale := m.get('loss_scale', lib.number):
      m.map('loss_scale', scale, 'loss_scale')
  elif v3 and m.values.get('platform') != 'Ascend':
    m.drop(
      'loss_scale',
      'float32 needs none; their optimizer divides the gradient by it, though '
      'the loss was not multiplied',
    )
  else:
    m.drop('loss_scale', 'float32 needs none')


def _schedule(m: Migration) -> None:
  match m.get('decay_method', lib.text, 'cosine'):
    case 'cosine':
      m.map('schedule.name', 'cosine', 'decay_method')
    case 'steps':
      m.map('schedule.name', 'multi_step', 'decay_method')
      at = ('30 percent', '60 percent', '80 percent')
      m.map('schedule.milestones', at, 'decay_method')
      m.map('schedule.decay_rate', 0.1, 'decay_method')
    case _:
      m.refuse('decay_method', 'expected cosine or steps')


def _network(m: Migration) -> None:
  """Maps what only inceptionv3 has."""
  keep = m.get('dropout_keep_prob', lib.number)
  if keep is not None:
    # Rounded, since 1 - 0.8 is not 0.2.
    m.map('model.dropout_rate', round(1 - keep, 12), 'dropout_keep_prob')
  classes = m.get('num_classes', lib.whole, 1000)
  smoothing = m.get('smooth_factor', lib.number)
  if smoothing is not None and classes > 1:
    # Theirs goes to the other classes, not to all.
    value = smoothing * classes / (classes - 1)
    m.map('label_smoothing', value, 'smooth_factor', 'num_classes')

"""The configs of MindCV, which are flags of its train.py as well."""

import math
import re
from typing import Any

from inception_jax.config.migration import migration as lib
from inception_jax.config.migration import mindcv_keys as keys
from inception_jax.config.migration import mindcv_schedule
from inception_jax.config.migration.migration import Migration
from inception_jax.errors import UserError


def is_dialect(values: dict[str, Any]) -> bool:
  """Returns whether a config has the keys of these."""
  return 'model' in values and bool(values.keys() & {'scheduler', 'opt', 'lr'})


def migrate(values: dict[str, Any], devices: int | None) -> Migration:
  """Maps, drops or refuses every key.

  Args:
    values: of the config.
    devices: how many there were; `batch_size` is that of each. None: one.

  Raises:
    UserError: the network is unknown, or the number of devices.
  """
  if values['model'] not in ('inception_v3', 'inception_v4'):
    raise UserError(
      f'model: {values["model"]!r}: expected inception_v3 or inception_v4'
    )
  lib.check_devices(values, 'distribute', devices)
  # None is argparse's default: the key is absent.
  given = {key: value for key, value in values.items() if value is not None}
  base = f'mindcv_{values["model"]}'
  m = Migration({**keys.DEFAULTS, **given}, frozenset(given), base)
  m.take(keys.PLAIN)
  m.take(keys.DROPPED)
  mixes = any(m.get(key, lib.number) for key in ('mixup', 'cutmix'))
  for key, accepted in keys.ONLY.items():
    if key == 'cutmix_prob' and not mixes:
      m.drop(key, 'unused without mixup and cutmix')
    elif key in m.values and m.values[key] not in accepted:
      m.refuse(key, f'expected {accepted[0]}')
    else:
      m.drop(key, 'what is done anyway')
  _batch(m, devices or 1)
  _images(m)
  _optimizer(m)
  mindcv_schedule.migrate(m)
  _precision(m)
  _run(m)
  m.map('model.name', values['model'], 'model')
  tables = (keys.DEFAULTS, keys.PLAIN, keys.DROPPED, keys.ONLY, keys.SPECIAL)
  m.finish(set().union(*tables))
  return m


def _batch(m: Migration, devices: int) -> None:
  size = m.get('batch_size', lib.whole)
  parts = m.get('gradient_accumulation_steps', lib.whole)
  if size and parts:
    m.map('batch_size', size * devices * parts, 'batch_size')
    # Their rates do not depend on the batch.
    m.map('schedule.batch_size', size * devices * parts, 'batch_size')
    m.map('gradient_accumulation', parts, 'gradient_accumulation_steps')


def _images(m: Migration) -> None:
  if m.values['dataset'] in ('imagenet', ''):
    m.map('data.source', 'folder', 'dataset')
  else:
    m.refuse('dataset', 'expected imagenet, a folder of classes')
  if (flip := m.get('hflip', lib.number)) in (0, 0.5):
    m.map('data.flip', bool(flip), 'hflip')
  elif 'hflip' not in m.refused:
    m.refuse('hflip', 'expected 0.5 or 0')
  if m.values['interpolation'] == 'bilinear':
    m.map('data.interpolation', 'opencv_bilinear', 'interpolation')
  else:
    m.refuse('interpolation', 'expected bilinear')
  size = m.get('image_resize', lib.whole)
  fraction = m.get('crop_pct', lib.number)
  if size and fraction and 0 < fraction <= 1:
    short_side = math.floor(size / fraction)
    m.map('data.eval_crop_fraction', size / short_side, 'crop_pct')
  elif 'crop_pct' not in m.refused:
    m.refuse('crop_pct', 'expected above 0, at most 1')
  match m.values.get('re_value', 0):
    case 0:
      m.map('data.erase_with', 'mean', 're_value')
    case 'random':
      m.map('data.erase_with', 'noise', 're_value')
    case _:
      m.refuse('re_value', 'expected 0 or random')
  _policy(m)


def _policy(m: Migration) -> None:
  """Maps auto_augment, and color_jitter, which is used without it."""
  policy = m.values.get('auto_augment')
  if policy is None:
    jitter = m.values.get('color_jitter', 0.4)
    m.map('data.policy', '', 'auto_augment')
    try:
      if isinstance(jitter, list):
        jitter = lib.numbers(len(jitter) if len(jitter) == 4 else 3)(jitter)
      else:
        jitter = (lib.number(jitter),) * 3
      m.map('data.color_jitter', (*jitter, 0.0)[:4], 'color_jitter')
    except ValueError as error:
      m.refuse('color_jitter', str(error))
    return
  m.drop('color_jitter', 'unused with auto_augment')
  match = re.fullmatch(r'autoaug(?:-mstd(\d+(?:\.\d+)?))?', str(policy))
  if match:
    m.map('data.policy', 'autoaugment_original', 'auto_augment')
    m.map('data.policy_noise', float(match[1] or 0.5), 'auto_augment')
  else:
    m.refuse(
      'auto_augment',
      "expected autoaug; timm's randaug with inc1 is "
      "data.policy='randaugment_increasing'",
    )


def _optimizer(m: Migration) -> None:
  names = {name: name for name in ('sgd', 'rmsprop', 'adamw')}
  names['momentum'] = 'sgd'
  if name := names.get(m.get('opt', lib.text)):
    m.map('optimizer.name', name, 'opt')
  else:
    m.refuse('opt', f'expected one of {", ".join(names)}')
  if name == 'rmsprop':
    m.map('optimizer.epsilon', m.get('eps', lib.number), 'eps')
  else:
    m.drop('eps', 'unused by this optimizer')
  only_kernels = m.values.get('filter_bias_and_bn', False)
  match m.values.get('weight_decay_filter', 'disable'):
    case 'disable' if not only_kernels:
      m.map('optimizer.decay_on', ('*',), 'weight_decay_filter')
    case 'disable' | 'norm_and_bias':
      m.map('optimizer.decay_on', ('*/kernel',), 'weight_decay_filter')
    case _:
      m.refuse('weight_decay_filter', 'expected disable or norm_and_bias')
  if m.get('clip_grad', lib.flag):
    clip = m.get('clip_value', lib.number, 15.0)
    m.map('optimizer.clip_norm', clip, 'clip_grad', 'clip_value')
  else:
    m.drop('clip_grad', 'off')
    m.drop('clip_value', 'unused without clip_grad')


def _precision(m: Migration) -> None:
  level = m.get('amp_level', lib.text, 'O0')
  if level not in ('O0', 'O1', 'O2', 'O3'):
    m.refuse('amp_level', 'expected O0, O1, O2 or O3')
    return
  half = level != 'O0'
  m.map('precision', 'float16' if half else 'float32', 'amp_level')
  fixed = m.values.get('loss_scale_type', 'fixed') == 'fixed'
  if half and fixed:
    scale = m.get('loss_scale', lib.number, 1.0)
    m.map('loss_scale', scale, 'loss_scale', 'loss_scale_type')
  elif half:
    m.map('loss_scale', 0.0, 'loss_scale_type')
    m.drop('loss_scale', 'it is dynamic')
  else:
    m.drop('loss_scale', 'float32 needs none')
    m.drop('loss_scale_type', 'float32 needs none')


def _run(m: Migration) -> None:
  """Maps what is measured and kept, the loss and where weights come from."""
  losses = {'CE': 'cross_entropy', 'BCE': 'binary_cross_entropy'}
  if loss := losses.get(m.get('loss', lib.text, '').upper()):
    m.map('loss', loss, 'loss')
  else:
    m.refuse('loss', 'expected CE or BCE')
  if m.base == 'mindcv_inception_v3':
    has_aux = bool(m.get('aux_factor', lib.number))
    m.map('model.aux_head', has_aux, 'aux_factor')
  if m.get('ema', lib.flag):
    m.map('ema_decay', m.get('ema_decay', lib.number, 0.9999), 'ema_decay')
  else:
    m.map('ema_decay', 0.0, 'ema')
    m.drop('ema_decay', 'unused without ema')
  if m.get('val_while_train', lib.flag):
    every = m.get('val_interval', lib.epochs, '1 epoch')
    m.map('eval_every', every, 'val_while_train', 'val_interval')
  else:
    m.map('eval_every', '100 percent', 'val_while_train')
    m.drop('val_interval', 'unused without val_while_train')
  if path := m.get('ckpt_path', lib.text):
    path = path if '/' in path else f'./{path}'
    m.map('fine_tune.checkpoint', path, 'ckpt_path')
  else:
    m.drop('ckpt_path', 'the same command resumes a run')

"""Checks of `config.data`."""

from inception_jax.config import validation
from inception_jax.data import balance
from inception_jax.data import choices
from inception_jax.data import views
from inception_jax.data.augment import colors
from inception_jax.data.augment import policies
from inception_jax.data.sources import registry

TRAIN_CROPS = ('resized', 'tensorflow', 'random', 'none')

_RANGE = (lambda v: len(v) == 2 and 0 < v[0] <= v[1], '0 < low <= high')
_UP_TO_1 = (lambda v: _RANGE[0](v) and v[1] <= 1, _RANGE[1] + ' <= 1')


# Key → (predicate, what it accepts), for keys whose range depends on no other.
RANGES = {
  'data.max_bad_fraction': validation.FRACTION,
  'data.class_order': validation.one_of(('', 'text')),
  'data.grow_stages': validation.AT_LEAST_1,
  'data.max_pixels': validation.AT_LEAST_1,
  'data.shuffle_buffer': validation.AT_LEAST_1,
  'data.workers': (lambda v: 0 <= v < 2**12, 'at least 0 and below 4096'),
  'data.interpolation': validation.one_of(choices.INTERPOLATIONS),
  'data.train_crop': validation.one_of(TRAIN_CROPS),
  'data.crop_area': _UP_TO_1,
  'data.crop_ratio': _RANGE,
  'data.min_object_covered': (
    lambda v: 0 <= v <= 1,
    'at least 0, at most 1',
  ),
  'data.rotate': (lambda v: 0 <= v <= 180, 'at least 0, at most 180'),
  'data.policy': validation.one_of((*policies.POLICIES, '')),
  'data.rand_ops': validation.AT_LEAST_1,
  'data.rand_probability': (lambda v: 0 <= v <= 1, 'at least 0, at most 1'),
  'data.color_jitter': (
    lambda v: len(v) == 4 and all(0 <= x <= 1 for x in v) and v[3] <= 0.5,
    'brightness, contrast, saturation of 0…1 and hue of 0…0.5',
  ),
  'data.brightness_shift': validation.FRACTION,
  'data.color_distortion': validation.one_of((*colors.DISTORTIONS, '')),
  'data.erase': (lambda v: 0 <= v <= 1, 'at least 0, at most 1'),
  'data.erase_area': _UP_TO_1,
  'data.erase_ratio': _RANGE,
  'data.erase_with': validation.one_of(('mean', 'noise')),
  'data.mixup': validation.NOT_NEGATIVE,
  'data.cutmix': validation.NOT_NEGATIVE,
  'data.eval_crop_mode': validation.one_of(choices.CROP_MODES),
  'data.exif': validation.one_of(choices.EXIF_MODES),
  'data.background': choices.BACKGROUND,
  'data.eval_protocol': validation.one_of(views.PROTOCOLS),
  'data.eval_crop_fraction': (lambda v: 0 < v <= 1, 'above 0, at most 1'),
  'data.channels': (lambda v: v in (1, 3), '1 or 3'),
}


def check(config) -> list[str]:
  """Returns a message for each invalid key of a resolved `config.data`.

  Reads no image.
  """
  size, channels = config.data.image_size, config.data.channels
  only_cross_entropy = config.loss == 'cross_entropy'
  holds_out = registry.name(config) in registry.HOLD_OUT
  dependent = {
    'data.val_fraction': (
      validation.FRACTION
      if holds_out
      else (
        lambda v: v == 0,
        f'0, unless data.source is {" or ".join(registry.HOLD_OUT)}',
      )
    ),
    'data.class_weights': (
      validation.one_of(balance.SETTINGS)
      if only_cross_entropy
      else ((lambda v: v == ''), "'' but for loss=cross_entropy")
    ),
    'data.sampling': (
      (lambda v: v == '', "'' with data.class_weights")
      if config.data.class_weights
      else validation.one_of(balance.SETTINGS)
    ),
    'data.repeats': (
      # Mixup and CutMix need another image in the batch.
      lambda v: v == 1 or 1 < v <= config.batch_size // 2,
      'at least 1, and at most half of batch_size',
    ),
    'data.grow_from': (
      lambda v: 0 <= v < size,
      '0, or a size below data.image_size',
    ),
    'data.pad': (
      lambda v: 0 <= v < size,
      'at least 0 and below data.image_size',
    ),
    'data.mean': (
      lambda v: len(v) == channels,
      'a number for each of data.channels',
    ),
    'data.std': (
      lambda v: len(v) == channels and min(v) > 0,
      'a number above 0 for each of data.channels',
    ),
  }
  ranges = {**RANGES, **dependent, **_of_policy(config.data.policy)}
  faults = registry.check(config) + validation.out_of_range(config, ranges)
  if config.data.exif == 'apply' and registry.name(config) == 'tfrecord':
    faults.append(
      "data.exif='apply': the boxes in TFRecords are those of the images as "
      'they are stored; --config.data.exif=ignore'
    )
  return faults


def _of_policy(name: str) -> dict:
  """The ranges that depend on a policy; those of every policy without one."""
  default = policies.POLICIES['randaugment']
  policy = policies.POLICIES.get(name, default)
  most = (default if policy.pairs else policy).max_magnitude
  noise = validation.NOT_NEGATIVE
  if name in policies.POLICIES and not policy.noisy:
    noise = lambda v: v == 0, f'0, since {name} has fixed magnitudes'
  return {
    'data.policy_noise': noise,
    'data.rand_magnitude': (
      lambda v: 0 <= v <= most,
      f'at least 0, at most {most}',
    ),
  }

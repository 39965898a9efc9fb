"""Compares policies with what reference_policies.py wrote of a package."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from configs import default
from inception_jax.data.augment import image_ops
from inception_jax.data.augment import policies
from inception_jax.models import factory

DRAWS = 20_000
FILL = (124.0, 116.0, 104.0)
# The tables' configuration: reference_policies.py has the packages'.
_CONFIG = {'autoaugment_original': 0.5, 'autoaugment_timm': 0.5}
_CONFIG |= {'randaugment_increasing': 0.5}
_EXACT = ('posterize', 'solarize', 'solarize_add', 'equalize', 'invert')
_EXACT += ('identity', 'equalize_opencv')


def bound(policy: str, name: str) -> int | None:
  """The largest difference in grey levels, away from the filled border."""
  if name in _EXACT:
    return 0
  if policy != 'autoaugment_original':
    return 1
  # MindSpore rounds blends, rotates in fixed point, and shears around the
  # center, where ours and timm shear from a corner.
  return {'rotate': 4, 'shear_x': None}.get(name, 2)


@functools.cache
def _applied():
  one = lambda image, name, level: image_ops.apply(
    image, name, level, jnp.float32(FILL)
  )
  return jax.jit(one)


def pixels(image, policy, name: str, level: float, theirs, step=1):
  """Compares an operation's result with `theirs`, of every `step`th pixel.

  The sign of a moving operation is the package's convention: the more similar
  result counts, since both signs are equally probable.

  Returns:
    The largest and the mean difference, in grey levels. The largest leaves out
    what is within a pixel of the fill color.
  """
  index = image_ops.NAMES.index(policies.applied_name(mapped(policy, name)))
  signs = (1, -1) if name in image_ops.MOVING else (1,)
  found = []
  for sign in signs:
    ours = np.asarray(_applied()(jnp.float32(image), index, sign * level))
    difference = np.abs(ours[::step, ::step] - theirs.astype(np.float32))
    inside = np.ones(image.shape[:2], bool)
    if name in image_ops.MOVING:
      filled = np.pad((ours == FILL).all(-1), 1, constant_values=True)
      windows = np.lib.stride_tricks.sliding_window_view(filled, (3, 3))
      inside = ~windows.any((-1, -2))
    most = difference[inside[::step, ::step]].max()
    found.append((difference.mean(), most))
  mean, most = min(found)
  return float(most), float(mean)


def mapped(policy: str, name: str) -> str:
  """The operation of ours that a package's `name` is in a policy."""
  is_mindcv = policy == 'autoaugment_original'
  return 'equalize_opencv' if is_mindcv and name == 'equalize' else name


def levels(policy: str, name: str, count: int, shape) -> np.ndarray:
  """Our levels of an operation at the magnitudes 0 … count − 1."""
  ours = policies.POLICIES[policy]
  fraction = lambda m: m / ours.max_magnitude
  if ours.noisy:  # these compute in float32, on the device
    fraction = lambda m: jnp.float32(m) / ours.max_magnitude
  return np.array(
    [float(ours.level(name, fraction(m), shape)) for m in range(count)]
  )


def drawn(policy: str, shape) -> dict[str, np.ndarray]:
  """Returns what `reference_policies.py` calls drawn, of ours."""
  data = factory.resolve(default.get_config()).data
  data.policy, data.policy_noise = policy, _CONFIG.get(policy, 0.0)
  keys = jax.random.split(jax.random.key(0), DRAWS)
  draw = jax.jit(jax.vmap(lambda key: policies.draw(key, shape, data)))
  indices, of_draws = (np.ravel(x) for x in draw(keys))
  found = {}
  for i, name in enumerate(image_ops.NAMES):
    chosen = of_draws[indices == i]
    if chosen.size and not (name == 'identity' and policy != 'randaugment'):
      size = np.abs(chosen)
      numbers = size.mean(), size.std(), size.min(), size.max()
      fractions = chosen.size / DRAWS, (chosen < 0).mean()
      found[name] = np.array([*fractions, *numbers], np.float64)
  return found


def draws_differ(policy: str, theirs: dict, shape) -> dict[str, float]:
  """Returns operation → the largest difference, in standard errors.

  Compares draws per image, the fraction of negative levels, and the mean of
  their absolute values. A standard error is that of two samples of `DRAWS`.
  """
  ours = drawn(policy, shape)
  theirs = {mapped(policy, name): x for name, x in theirs.items()}
  assert ours.keys() == theirs.keys(), (policy, ours.keys() ^ theirs.keys())
  found = {}
  for name, (count, negative, mean, std, _, _) in theirs.items():
    n = count * DRAWS
    errors = [
      (2 * count / DRAWS) ** 0.5,
      (2 * negative * (1 - negative) / n) ** 0.5,
      std * (2 / n) ** 0.5,
    ]
    # Levels are rounded to five digits, and fixed ones have no deviation.
    errors = np.maximum(errors, [0, 1e-4, 1e-4 * max(1, mean)])
    difference = np.abs(ours[name][:3] - np.array([count, negative, mean]))
    found[name] = float((difference / errors).max())
  return found

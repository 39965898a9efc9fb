"""A folder of a few images, and networks that tell them apart."""

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
from sklearn import datasets

from configs import digits
from inception_jax.checkpointing import lookup
from inception_jax.checkpointing import manager
from inception_jax.models import card
from inception_jax.models import factory
from inception_jax.training import train_state
from inception_jax.weights.convert import Weights
from tests.conftest import tiny_config

CLASSES = ('cat', 'dog', 'hare', 'newt', 'toad', 'wren')
# Not '0', '1', …: a list of labels may have names and numbers.
DIGITS = tuple(f'digit_{i}' for i in range(10))


def write(root):
  """23 images of six classes, upright and across."""
  rng = np.random.default_rng(0)
  _write(root, CLASSES, lambda i: rng.integers(0, 256, (2, 2, 3), np.uint8))


def write_digits(root):
  """23 of scikit-learn's digits, 0 to 5, upright and across."""
  bunch = datasets.load_digits()
  levels = np.round(bunch.images * (255 / 16)).astype(np.uint8)
  _write(root, DIGITS, lambda i: levels[bunch.target == i % 6][i // 6])


def _write(root, classes, pixels):
  for i in range(23):
    path = root / 'val' / classes[i % 6] / f'{i:02}.png'
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = [(20, 31), (33, 18), (24, 24)][i % 3]
    image = Image.fromarray(pixels(i)).convert('RGB')
    image.resize((width, height)).save(path)


def config_of(folder, **data):
  config = tiny_config()
  config.data.source, config.data.dir = 'folder', str(folder)
  config.data.eval_split = 'val'
  config.batch_size = 8
  config.data.update(data)
  return config


def trained(variables, seed, gain=1.0):
  """As of a network that was trained: biases, statistics, steeper kernels."""
  rng = np.random.default_rng(seed)
  return jax.tree.map(
    lambda x: (
      np.abs(x + 0.1 * rng.normal(size=x.shape).astype(x.dtype))
      if x.ndim == 1
      else gain * x
    ),
    variables,
  )


def network(config, seed, num_classes=6):
  """A network with weights and statistics that tell images apart."""
  model = factory.build(config, num_classes)
  size = config.data.image_size
  variables = jax.jit(model.init)(
    jax.random.key(seed), jnp.zeros((1, size, size, 3))
  )
  return model, trained(variables, seed, 1.25)


def drawn(model, size, gain=1.0):
  """Variables that tell images apart, drawn by numpy.

  To compile what initialises a network of full depth takes ten seconds.
  """
  images = jnp.zeros((1, size, size, 3))
  shapes = jax.eval_shape(model.init, jax.random.key(0), images)
  rng = np.random.default_rng(0)

  def begins(path, x):
    if x.ndim > 1:
      stddev = np.sqrt(2 / np.prod(x.shape[:-1]))  # He's
      return np.float32(stddev) * rng.standard_normal(x.shape, np.float32)
    return np.full(x.shape, path[-1].key in ('scale', 'var'), np.float32)

  return trained(jax.tree_util.tree_map_with_path(begins, shapes), 0, gain)


def weights_of(config, num_classes, classes=(), gain=1.0):
  """The recipe's network, with weights that are `drawn`."""
  model = factory.build(config, num_classes)
  return Weights(
    'drawn',
    factory.describe(config, num_classes),
    card.of(config),
    drawn(model, config.data.image_size, gain),
    classes,
  )


def digits_network(classes=DIGITS):
  """Of configs/digits.py, so steep that its answers differ."""
  config = factory.resolve(digits.get_config())
  return weights_of(config, len(DIGITS), classes, 1.02)


def saved(where, config, seed, classes=CLASSES, step=0):
  """A run's folder with one checkpoint of `network`."""
  model, variables = network(config, seed, len(classes) or 6)
  del model
  state = train_state.from_weights(variables)
  state = state.replace(step=jnp.asarray(step, jnp.int32))
  about = factory.about(
    factory.describe(config, len(classes) or 6), card.of(config), classes
  )
  with manager.CheckpointManager(
    lookup.checkpoint_folder(where)
  ) as checkpoints:
    checkpoints.save(state, {}, about)
  return str(where)

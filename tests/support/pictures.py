"""A folder of a few images, and networks whose output differs between them."""

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
from inception_jax.models import metadata
from inception_jax.training import train_state
from inception_jax.weights.convert import Weights
from tests.support.tiny import tiniest_config
from tests.support.tiny import tiny_config

CLASSES = ('cat', 'dog', 'hare', 'newt', 'toad', 'wren')
# Not '0', '1', …: a list of labels may have names and numbers.
DIGITS = tuple(f'digit_{i}' for i in range(10))


def write(root):
  """Writes 23 images of noise in six classes, upright, wide and square."""
  rng = np.random.default_rng(0)
  _write(root, CLASSES, lambda i: rng.integers(0, 256, (2, 2, 3), np.uint8))


def write_digits(root):
  """Writes 23 of scikit-learn's digits, 0 to 5, in the same shapes."""
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
  """Returns the config of the tiniest network that evaluates these images."""
  return _with_images(tiniest_config(), folder, data)


def tiny_config_of(folder, **data):
  """Returns the same of a network with every kind of stage."""
  return _with_images(tiny_config(), folder, data)


def _with_images(config, folder, data):
  config.data.source, config.data.dir = 'folder', str(folder)
  config.data.eval_split = 'val'
  config.batch_size = 8
  config.data.update(data)
  return config


def perturb(variables, seed, gain=1.0):
  """Makes initial variables resemble trained ones.

  Biases and statistics become random and positive, kernels are multiplied by
  `gain`.
  """
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
  """Returns a network and perturbed initial variables."""
  model = factory.build(config, num_classes)
  size = config.data.image_size
  variables = jax.jit(model.init)(
    jax.random.key(seed), jnp.zeros((1, size, size, 3))
  )
  return model, perturb(variables, seed, 1.25)


def random_variables(model, size, gain=1.0, channels=3):
  """Returns perturbed He-normal variables, drawn by numpy.

  Compiling the initialization of a full-depth network takes ten seconds.
  """
  images = jnp.zeros((1, size, size, channels))
  shapes = jax.eval_shape(model.init, jax.random.key(0), images)
  rng = np.random.default_rng(0)

  def initialize(path, x):
    if x.ndim > 1:
      stddev = np.sqrt(2 / np.prod(x.shape[:-1]))
      return np.float32(stddev) * rng.standard_normal(x.shape, np.float32)
    return np.full(x.shape, path[-1].key in ('scale', 'var'), np.float32)

  initial = jax.tree_util.tree_map_with_path(initialize, shapes)
  return perturb(initial, 0, gain)


def random_weights(config, num_classes, classes=(), gain=1.0):
  """Returns `Weights` of the recipe's network, with `random_variables`."""
  model = factory.build(config, num_classes)
  return Weights(
    'random weights',
    factory.network_config(config, num_classes),
    card.from_config(config.data),
    random_variables(model, config.data.image_size, gain),
    classes,
  )


def digits_weights():
  """Returns random weights for configs/digits.py.

  The gain makes the predicted class differ between images.
  """
  config = factory.resolve(digits.get_config())
  return random_weights(config, len(DIGITS), DIGITS, 1.02)


def save_run(where, config, seed, classes=CLASSES, step=0, num_classes=None):
  """Writes a workdir with one checkpoint of `network`; returns its path."""
  if num_classes is None:
    num_classes = len(classes) or 6
  _, variables = network(config, seed, num_classes)
  about = factory.network_config(config, num_classes)
  own_card = card.from_config(config.data)
  weights = Weights(str(where), about, own_card, variables, classes)
  return save(where, weights, step)


def save(where, weights, step=0):
  """Writes a workdir with one checkpoint of weights; returns its path."""
  state = train_state.from_weights(weights.variables)
  state = state.replace(step=jnp.asarray(step, jnp.int32))
  about = metadata.to_dict(weights.network, weights.card, weights.classes)
  with manager.CheckpointManager(
    lookup.checkpoint_folder(where)
  ) as checkpoints:
    checkpoints.save(vars(state), {}, about)
  return str(where)

"""Configs and abstract variables of networks."""

from configs import default
from inception_jax.models import architectures
from inception_jax.models import factory


def resolved_config(name, stem='', **model):
  """Returns the default config with these keys of `model`, resolved."""
  config = default.get_config()
  config.model.name = name
  config.model.stem = stem
  config.model.update(model)
  return factory.resolve(config)


def abstract_variables(config, num_classes, size=0):
  """Returns the shapes and dtypes of a network's variables."""
  size = size or config.data.image_size
  model = factory.build(config, num_classes)
  return architectures.init_shapes(model, (size, size, 3))

"""The networks by name: what a config may ask for, and how it is built."""

import jax.numpy as jnp

from inception_jax import config as config_lib
from inception_jax.models import inception_resnet
from inception_jax.models import inception_v3
from inception_jax.models import inception_v4
from inception_jax.models import layers
from inception_jax.models import tables

ARCHITECTURES = {
  'inception_v3': inception_v3,
  'inception_v4': inception_v4,
  'inception_resnet_v2': inception_resnet,
}
PRECISIONS = {'float32': jnp.float32, 'bfloat16': jnp.bfloat16}


def table(config) -> tuple:
  """The ((name, spec), …) table of `config.model`."""
  architecture = ARCHITECTURES[config.model.name]
  return architecture.STEMS[config.model.stem] + architecture.BODY


def build(config, num_classes: int) -> layers.Inception:
  """The network that `config` describes, with `num_classes` outputs."""
  model = config.model
  return layers.Inception(
    table=table(config),
    aux_after=ARCHITECTURES[model.name].AUX_AFTER,
    num_classes=num_classes,
    aux_head=model.aux_head,
    dropout_rate=model.dropout_rate,
    options=layers.Options(
      width=model.width,
      dtype=PRECISIONS[config.precision],
      bn_momentum=model.bn_momentum,
      bn_epsilon=model.bn_epsilon,
    ),
  )


def num_classes(config, class_names) -> int:
  """Outputs of the network: `model.num_classes`, or one for each class name.

  Raises:
    UserError: the dataset has more classes than the network would.
  """
  wanted = config.model.num_classes or len(class_names)
  if wanted < len(class_names):
    raise config_lib.UserError(
      f'model.num_classes={wanted}, but {config.data.source} has '
      f'{len(class_names)} classes'
    )
  return wanted


def smallest_image(config) -> int:
  """Least `data.image_size` that leaves the network a grid of 1×1."""
  size = 1
  while not _fits(table(config), size):
    size += 1
  return size


def _fits(entries, size: int) -> bool:
  for _, spec in entries:
    size = tables.output_size(spec, size)
    if size < 1:
      return False
  return True


def check(config) -> list[str]:
  """Every fault of `config` that concerns the network."""
  model = config.model
  faults = config_lib.out_of_range(
    config,
    {
      'model.name': config_lib.one_of(ARCHITECTURES),
      'model.num_classes': (
        lambda v: v == 0 or v >= 2,
        "at least 2, or 0 for the dataset's own number",
      ),
      'model.width': (lambda v: 0 < v <= 8, 'above 0, at most 8'),
      'model.dropout_rate': config_lib.SHARE,
      'model.bn_momentum': config_lib.SHARE,
      'model.bn_epsilon': config_lib.POSITIVE,
      'precision': config_lib.one_of(PRECISIONS),
    },
  )
  if model.name not in ARCHITECTURES:
    return faults
  stems = ARCHITECTURES[model.name].STEMS
  if model.stem not in stems:
    faults += config_lib.out_of_range(
      config, {'model.stem': config_lib.one_of(stems)}
    )
  elif config.data.image_size < (least := smallest_image(config)):
    faults.append(
      f'data.image_size={config.data.image_size}: {model.name} with the '
      f'{model.stem!r} stem needs at least {least}'
    )
  return faults

"""Configs of networks: resolves open keys, validates, builds the module."""

from inception_jax.config import validation
from inception_jax.errors import UserError
from inception_jax.models import architectures
from inception_jax.models import batch_norm
from inception_jax.models import card as card_lib
from inception_jax.models import initializers
from inception_jax.models import metadata
from inception_jax.models import network as network_lib
from inception_jax.models import specs
from inception_jax.models.architectures import ARCHITECTURES
from inception_jax.models.card import Card
from inception_jax.models.network_config import NetworkConfig

# Values of fine_tune.freeze_batch_norm: the patterns of frozen statistics; of
# '' they are those of fine_tune.freeze.
_FROZEN_STATISTICS = {'all': ('*',), 'none': ()}
_FREEZE_STATISTICS = (
  lambda v: v in ('', *_FROZEN_STATISTICS),
  "all, none, or '' for those of frozen modules",
)
# Values of model.pool_padding: whether average pools count the padding.
_COUNTS_PADDING = {'counted': True, 'ignored': False}


def resolve(
  config, network: NetworkConfig | None = None, card: Card | None = None
):
  """Returns a copy of `config` without open keys, those that are 0 or empty.

  `network` and `card` are those of the loaded weights; None are the
  architecture's as published. Without a name, nothing is known of the network.
  """
  config = config.copy_and_resolve_references()
  model = config.model
  if network and not model.name:
    model.name = network.name
  if architecture := ARCHITECTURES.get(model.name):
    network = network or architectures.published(model.name, 0)
    padding = 'counted' if network.count_include_pad else 'ignored'
    model.stem = model.stem or network.stem
    model.pool_padding = model.pool_padding or padding
    model.bn_epsilon = model.bn_epsilon or network.bn_epsilon
    card = card or architecture.card
  model.width = model.width or (network.width if network else 1.0)
  card_lib.resolve(config.data, card or Card())
  return config


def network_config(config, num_classes: int) -> NetworkConfig:
  """Returns the network of a resolved config, with `num_classes` outputs."""
  model = config.model
  return NetworkConfig(
    name=model.name,
    num_classes=num_classes,
    stem=model.stem,
    width=model.width,
    aux_head=model.aux_head,
    aux_batch_norm=model.aux_batch_norm,
    head_batch_norm=model.head_batch_norm,
    bn_epsilon=model.bn_epsilon,
    count_include_pad=_COUNTS_PADDING[model.pool_padding],
  )


def build(config, num_classes: int, replicas: int = 1) -> network_lib.Inception:
  """Builds the module of a resolved config, with `num_classes` outputs."""
  frozen = _FROZEN_STATISTICS.get(
    config.fine_tune.freeze_batch_norm, tuple(config.fine_tune.freeze)
  )
  return architectures.create(
    network_config(config, num_classes),
    dropout_rate=config.model.dropout_rate,
    drop_path_rate=config.model.drop_path_rate,
    bn_momentum=config.model.bn_momentum,
    kernel_init=config.model.kernel_init,
    precision=config.precision,
    frozen=frozen,
    replicas=replicas,
    card=card_lib.from_config(config.data),
  )


def num_classes(config, class_names) -> int:
  """Returns `model.num_classes`; if that is 0, the number of `class_names`.

  Raises:
    UserError: the dataset has more classes than the network.
  """
  outputs = config.model.num_classes or len(class_names)
  if outputs < len(class_names):
    raise UserError(
      f'model.num_classes={outputs}, but {config.data.source} has '
      f'{len(class_names)} classes'
    )
  return outputs


def check(config, open_name: bool = False) -> list[str]:
  """Returns a message for each invalid key that concerns the network.

  With `open_name`, the name may be empty: it is that of weights not yet loaded.
  """
  model = config.model
  faults = validation.out_of_range(
    config,
    {
      'model.name': validation.one_of(ARCHITECTURES),
      'model.num_classes': (
        lambda v: v == 0 or 2 <= v <= metadata.MAX_OUTPUTS,
        f"2 to {metadata.MAX_OUTPUTS:,}, or 0 for the dataset's own number",
      ),
      'model.width': (lambda v: 0 < v <= 8, 'above 0, at most 8'),
      'model.dropout_rate': validation.FRACTION,
      'model.drop_path_rate': validation.FRACTION,
      'model.bn_momentum': validation.FRACTION,
      'batch_norm': (
        batch_norm.is_setting,
        "global, replica or a number of images, as '32 images'",
      ),
      'model.kernel_init': validation.one_of(initializers.KERNEL_INITS),
      'fine_tune.freeze_batch_norm': _FREEZE_STATISTICS,
    },
  )
  if model.name not in ARCHITECTURES:
    is_open = open_name and not model.name
    return [x for x in faults if not (is_open and x.startswith('model.name='))]
  faults += validation.out_of_range(
    config,
    {
      'model.bn_epsilon': validation.POSITIVE,
      'model.pool_padding': validation.one_of(_COUNTS_PADDING),
    },
  )
  if model.aux_head and not ARCHITECTURES[model.name].aux_after:
    faults.append(f'model.aux_head: {model.name} has no auxiliary head')
  if model.drop_path_rate and not any(
    isinstance(spec, specs.RESIDUALS)
    for _, spec in ARCHITECTURES[model.name].body
  ):
    faults.append(f'model.drop_path_rate: {model.name} has no residual blocks')
  stems = ARCHITECTURES[model.name].stems
  if model.stem not in stems:
    faults += validation.out_of_range(
      config, {'model.stem': validation.one_of(stems)}
    )
  else:
    least = architectures.smallest_image(model.name, model.stem)
    faults += [
      f'data.{key}={size}: {model.name} with the {model.stem!r} stem needs at '
      f'least {least}'
      for key in ('image_size', 'grow_from')
      if (size := config.data[key]) < least and (size or key != 'grow_from')
    ]
    if config.data.image_size > metadata.MAX_SIDE:
      faults.append(
        f'data.image_size={config.data.image_size}: expected at most '
        f'{metadata.MAX_SIDE:,}'
      )
  return faults

"""The networks by name, and their construction."""

import dataclasses
import functools
from typing import Any
from typing import TypedDict
from typing import Unpack

import jax
import jax.numpy as jnp

from inception_jax.errors import UserError
from inception_jax.models import layers
from inception_jax.models import network as network_lib
from inception_jax.models import precision as precision_lib
from inception_jax.models import specs
from inception_jax.models.card import Card
from inception_jax.models.network_config import NetworkConfig
from inception_jax.models.networks import cifar
from inception_jax.models.networks import inception_resnet
from inception_jax.models.networks import inception_v3
from inception_jax.models.networks import inception_v4

ARCHITECTURES = {
  'inception_v3': inception_v3.INCEPTION_V3,
  'inception_v4': inception_v4.INCEPTION_V4,
  'inception_resnet_v2': inception_resnet.INCEPTION_RESNET_V2,
  'fid_inception_v3': inception_v3.FID_INCEPTION_V3,
  'cifar_inception_v3': cifar.CIFAR_INCEPTION_V3,
  'cifar_inception_v4': cifar.CIFAR_INCEPTION_V4,
  'cifar_inception_resnet_v2': cifar.CIFAR_INCEPTION_RESNET_V2,
}


def default_stem(name: str) -> str:
  """Returns the stem for the image size that a network was published for."""
  return next(iter(ARCHITECTURES[name].stems))


def smallest_image(name: str, stem: str) -> int:
  """Returns the least image size whose last grid is at least 1×1."""
  architecture = ARCHITECTURES[name]
  table = architecture.stems[stem] + architecture.body
  whole = specs.mixed(tuple(spec for _, spec in table))
  size = 1
  while specs.output_size(whole, size) < 1:
    size += 1
  return size


def published(name: str, num_classes: int, **overrides) -> NetworkConfig:
  """Returns a network as published, with some fields overridden."""
  architecture = ARCHITECTURES[name]
  network = NetworkConfig(
    name,
    num_classes,
    stem=default_stem(name),
    bn_epsilon=architecture.bn_epsilon,
    count_include_pad=architecture.count_include_pad,
  )
  return dataclasses.replace(network, **overrides)


def create(
  network: NetworkConfig,
  *,
  dropout_rate: float = 0.0,
  drop_path_rate: float = 0.0,
  bn_momentum: float = 0.9997,
  kernel_init: str = 'he_normal',
  precision: str = 'float32',
  frozen: tuple[str, ...] = (),
  replicas: int = 1,
  card: Card | None = None,
) -> network_lib.Inception:
  """Builds a network as a linen module.

  `model.init(key, images)` returns {'params', 'batch_stats'};
  `model.apply(variables, images)` returns (logits, None). `dropout_rate` is the
  fraction of features dropped before the classifier; `drop_path_rate` the
  probability, in training, that the last residual block drops its branches for
  an image, to which it rises linearly from the first block's 0; `precision` is
  one of `precision.PRECISIONS`; `card` is `model.card`, None: the published
  one; for the other options see `LayerOptions`.
  """
  architecture = ARCHITECTURES[network.name]
  return network_lib.Inception(
    table=architecture.stems[network.stem] + architecture.body,
    aux_after=architecture.aux_after,
    num_classes=network.num_classes,
    aux_head=network.aux_head,
    aux_batch_norm=network.aux_batch_norm,
    head_batch_norm=network.head_batch_norm,
    dropout_rate=dropout_rate,
    drop_path_rate=drop_path_rate,
    options=layers.LayerOptions(
      width=network.width,
      policy=precision_lib.policy(precision),
      precision=precision_lib.matmul_precision(precision),
      bn_momentum=bn_momentum,
      bn_epsilon=network.bn_epsilon,
      kernel_init=kernel_init,
      count_include_pad=network.count_include_pad,
      frozen=frozen,
      replicas=replicas,
    ),
    card=card or architecture.card,
  )


def init_shapes(model: network_lib.Inception, image_shape) -> dict[str, Any]:
  """Returns the shapes of {'params', 'batch_stats'} for images [S, S, C]."""
  # A copy, which the caller may change.
  return jax.tree.map(lambda x: x, _init_shapes(model, tuple(image_shape)))


@functools.cache  # tracing a network takes a second
def _init_shapes(model: network_lib.Inception, image_shape) -> dict[str, Any]:
  images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  return jax.eval_shape(model.init, jax.random.key(0), images)


class ModelOptions(TypedDict, total=False):
  """The options of `create_model`: those of `NetworkConfig` and `create`."""

  stem: str
  width: float
  aux_head: bool
  aux_batch_norm: bool
  head_batch_norm: bool
  bn_epsilon: float
  count_include_pad: bool
  dropout_rate: float
  drop_path_rate: float
  bn_momentum: float
  kernel_init: str
  precision: str
  frozen: tuple[str, ...]
  replicas: int
  card: Card | None


def create_model(
  name: str, num_classes: int = 1000, **kwargs: Unpack[ModelOptions]
) -> network_lib.Inception:
  """Builds a network of the family by name; see `create` for the result.

  Args:
    name: a key of `ARCHITECTURES`.
    num_classes: width of the logits; 0 for no classifier: then the network
      returns the pooled features.
    **kwargs: other fields of `NetworkConfig`, which override the published
      ones: stem ('imagenet' or 'small'), width, aux_head, aux_batch_norm,
      head_batch_norm, bn_epsilon, count_include_pad; and those of `create`:
      dropout_rate, drop_path_rate, bn_momentum, kernel_init, precision, frozen,
      replicas, card.

  Raises:
    UserError: there is no such network or option, or it has no such stem.
  """
  fields = {field.name for field in dataclasses.fields(NetworkConfig)}
  options: dict[str, Any] = dict(kwargs)
  overrides = {key: options.pop(key) for key in fields & options.keys()}
  check_name(name)
  faults = [
    f'create_model has no option {key!r}: expected one of '
    f'{", ".join(ModelOptions.__annotations__)}'
    for key in options.keys() - ModelOptions.__annotations__.keys()
  ]
  stems = ARCHITECTURES[name].stems
  if (stem := overrides.get('stem', default_stem(name))) not in stems:
    faults.append(f'stem={stem!r}: {name} has {", ".join(stems)}')
  if overrides.get('aux_head') and not ARCHITECTURES[name].aux_after:
    faults.append(f'aux_head: {name} has no auxiliary head')
  precision = options.get('precision', 'float32')
  if precision not in precision_lib.PRECISIONS:
    known = ', '.join(precision_lib.PRECISIONS)
    faults.append(f'precision={precision!r}: expected one of {known}')
  if faults:
    raise UserError(*faults)
  return create(published(name, num_classes, **overrides), **options)


def check_name(name: str) -> None:
  """Raises UserError if there is no such network."""
  if name not in ARCHITECTURES:
    known = ', '.join(ARCHITECTURES)
    raise UserError(f'model {name!r}: expected one of {known}')

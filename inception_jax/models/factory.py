"""The networks by name: what a config may ask for, and how it is built."""

from collections.abc import Sequence
import dataclasses
from typing import Any

from inception_jax import errors
from inception_jax.config import validation
from inception_jax.models import card as card_lib
from inception_jax.models import layers
from inception_jax.models import network
from inception_jax.models import precision as precision_lib
from inception_jax.models import specs
from inception_jax.models.networks import cifar
from inception_jax.models.networks import inception_resnet
from inception_jax.models.networks import inception_v3
from inception_jax.models.networks import inception_v4

ARCHITECTURES = {
  'inception_v3': inception_v3.INCEPTION_V3,
  'inception_v4': inception_v4.INCEPTION_V4,
  'inception_resnet_v2': inception_resnet.INCEPTION_RESNET_V2,
  'cifar_inception_v3': cifar.CIFAR_INCEPTION_V3,
  'cifar_inception_v4': cifar.CIFAR_INCEPTION_V4,
  'cifar_inception_resnet_v2': cifar.CIFAR_INCEPTION_RESNET_V2,
}


def table(config) -> tuple:
  """The ((name, spec), …) table of `config.model`."""
  architecture = ARCHITECTURES[config.model.name]
  return architecture.stems[config.model.stem] + architecture.body


def resolve(config, stored: card_lib.Card | None = None):
  """A copy of `config` whose open keys are as the network's card says.

  Args:
    config: the whole config.
    stored: the card of the weights in use; None is the architecture's own.
  """
  architecture = ARCHITECTURES.get(config.model.name)
  own = architecture.card if architecture else card_lib.Card()
  config = card_lib.resolve(config, stored or own)
  if architecture and not config.model.stem:
    config.model.stem = next(iter(architecture.stems))
  return config


def create(
  name: str,
  num_classes: int = 1000,
  *,
  stem: str = '',
  width: float = 1.0,
  aux_head: bool = False,
  aux_batch_norm: bool = True,
  head_batch_norm: bool = False,
  dropout_rate: float = 0.0,
  bn_momentum: float = 0.9997,
  precision: str = 'float32',
  frozen: tuple[str, ...] = (),
  replicas: int = 1,
  card: card_lib.Card | None = None,
) -> network.Inception:
  """Makes a network of the family.

  Args:
    name: one of `ARCHITECTURES`.
    num_classes: width of the logits.
    stem: 'imagenet' or 'small'; '' is the one for the network's own size.
    width: multiplier on every channel count.
    aux_head: whether it has the auxiliary head, which runs in training only.
    aux_batch_norm: False leaves out that head's BatchNorm and ReLU.
    head_batch_norm: BatchNorm on the features and on the logits.
    dropout_rate: share of features dropped before the classifier.
    bn_momentum: share of the old moving statistics.
    precision: of the computation, one of `precision.PRECISIONS`.
    frozen: patterns of layers whose BatchNorm keeps its statistics.
    replicas: parts of a training batch that BatchNorm normalises on their own.
    card: says BatchNorm's ε and whether average pools count the padding; None
      is the network's own.

  Returns:
    A linen module: `model.init(key, images)` makes {'params',
    'batch_stats'}, `model.apply(variables, images)` returns (logits, None).

  Raises:
    UserError: there is no such network.
  """
  if name not in ARCHITECTURES:
    known = ', '.join(ARCHITECTURES)
    raise errors.UserError(f'model {name!r}: expected one of {known}')
  architecture = ARCHITECTURES[name]
  card = card or architecture.card
  stem = stem or next(iter(architecture.stems))
  return network.Inception(
    table=architecture.stems[stem] + architecture.body,
    aux_after=architecture.aux_after,
    num_classes=num_classes,
    aux_head=aux_head,
    aux_batch_norm=aux_batch_norm,
    head_batch_norm=head_batch_norm,
    dropout_rate=dropout_rate,
    options=layers.LayerOptions(
      width=width,
      policy=precision_lib.policy(precision),
      products=precision_lib.matmul_precision(precision),
      bn_momentum=bn_momentum,
      bn_epsilon=card.bn_epsilon,
      count_include_pad=card.count_include_pad,
      frozen=frozen,
      replicas=replicas,
    ),
  )


def describe(config, num_classes: int) -> dict[str, Any]:
  """The arguments of `create` that decide which parameters there are."""
  model = config.model
  return {
    'name': model.name,
    'num_classes': num_classes,
    'stem': model.stem,
    'width': model.width,
    'aux_head': model.aux_head,
    'aux_batch_norm': model.aux_batch_norm,
    'head_batch_norm': model.head_batch_norm,
  }


def about(
  arguments: dict[str, Any], card: card_lib.Card, classes: Sequence[str]
) -> dict[str, Any]:
  """What is saved with weights, for JSON: `describe`'s arguments, the card, and
  the names of the outputs, as far as they have any."""
  return {
    'model': arguments,
    'card': dataclasses.asdict(card),
    'classes': list(classes),
  }


def from_about(values, where) -> tuple[dict[str, Any], card_lib.Card, tuple]:
  """What `about` was given: arguments of `create`, the card, the classes.

  Raises:
    UserError: it is something else, since a file may hold anything.
  """
  expected = {
    'name': str,
    'num_classes': int,
    'stem': str,
    'width': float,
    'aux_head': bool,
    'aux_batch_norm': bool,
    'head_batch_norm': bool,
  }
  try:
    model, card = values['model'], values['card']
    known = {key: type(value) for key, value in model.items()} == expected
    known = known and model['stem'] in ARCHITECTURES[model['name']].stems
    # Absent from what older versions saved.
    classes = tuple(values.get('classes', ()))
    strange = {type(name) for name in classes} - {str}
    known = known and not strange and len(classes) <= model['num_classes']
  except (AttributeError, KeyError, TypeError):
    known = False
  if not known:
    raise errors.UserError(f'{where} does not say which network it is of')
  return model, card_lib.from_dict(card, where), classes


def build(config, num_classes: int, replicas: int = 1) -> network.Inception:
  """The network of a resolved config, with `num_classes` outputs."""
  return create(
    **describe(config, num_classes),
    dropout_rate=config.model.dropout_rate,
    bn_momentum=config.model.bn_momentum,
    precision=config.precision,
    frozen=tuple(config.fine_tune.freeze),
    replicas=replicas,
    card=card_lib.of(config),
  )


def num_classes(config, class_names) -> int:
  """Outputs of the network: `model.num_classes`, or one for each class name.

  Raises:
    UserError: the dataset has more classes than the network would.
  """
  wanted = config.model.num_classes or len(class_names)
  if wanted < len(class_names):
    raise errors.UserError(
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
    size = specs.output_size(spec, size)
    if size < 1:
      return False
  return True


def check(config) -> list[str]:
  """Every fault of a resolved `config` that concerns the network."""
  model = config.model
  faults = validation.out_of_range(
    config,
    {
      'model.name': validation.one_of(ARCHITECTURES),
      'model.num_classes': (
        lambda v: v == 0 or v >= 2,
        "at least 2, or 0 for the dataset's own number",
      ),
      'model.width': (lambda v: 0 < v <= 8, 'above 0, at most 8'),
      'model.dropout_rate': validation.FRACTION,
      'model.bn_momentum': validation.FRACTION,
      'model.bn_epsilon': validation.POSITIVE,
      'model.pool_padding': validation.one_of(card_lib.POOL_PADDINGS),
    },
  )
  if model.name not in ARCHITECTURES:
    return faults
  if model.aux_head and not ARCHITECTURES[model.name].aux_after:
    faults.append(f'model.aux_head: {model.name} has no auxiliary head')
  stems = ARCHITECTURES[model.name].stems
  if model.stem not in stems:
    faults += validation.out_of_range(
      config, {'model.stem': validation.one_of(stems)}
    )
  elif config.data.image_size < (least := smallest_image(config)):
    faults.append(
      f'data.image_size={config.data.image_size}: {model.name} with the '
      f'{model.stem!r} stem needs at least {least}'
    )
  return faults

"""Cards: how images must be prepared for a network, and what varies in it."""

import dataclasses
import json
import math

from ml_collections import ConfigDict

from inception_jax.errors import UserError

_COUNTED, _IGNORED = 'counted', 'ignored'

# Of an image that is prepared without a config; more is not decoded.
MOST_PIXELS = 80_000_000


@dataclasses.dataclass(frozen=True)
class Card:
  """What a network's weights expect of the world around them.

  One stands beside each architecture; another is saved with each checkpoint
  and artifact, and goes before it, since weights from elsewhere differ.

  Attributes:
    input_size: height and width of the image in pixels.
    mean: of each channel, in 0…255.
    std: likewise; the network sees `(image − mean) / std`.
    crop_mode: what evaluation looks at: 'central', that share of height and
      width (TF-slim's); 'short_side', the centre of an image whose shorter
      side was made input_size / share (torchvision's); 'squash', all of it.
    crop_fraction: the share.
    interpolation: how evaluation resizes; see `data.INTERPOLATIONS`.
    count_include_pad: whether padded average pools count the padding.
    bn_epsilon: BatchNorm's ε.
    class_offset: outputs before that of the dataset's class 0; TF-slim's
      heads have 1, for the background. Our own have none.
  """

  input_size: int = 299
  mean: tuple[float, ...] = (127.5, 127.5, 127.5)
  std: tuple[float, ...] = (127.5, 127.5, 127.5)
  crop_mode: str = 'central'
  crop_fraction: float = 0.875
  interpolation: str = 'bilinear'
  count_include_pad: bool = False
  bn_epsilon: float = 1e-3
  class_offset: int = 0


def resolve(config, card: Card):
  """A copy of `config` in which `card` fills what is left open.

  Open are the keys that are 0 or empty; what a config sets goes first.
  """
  config = config.copy_and_resolve_references()
  model, data = config.model, config.data
  mean, std = card.mean, card.std
  if data.channels == 1 and len(mean) == 3:
    mean, std = (sum(mean) / 3,), (sum(std) / 3,)
  counted = _COUNTED if card.count_include_pad else _IGNORED
  model.pool_padding = model.pool_padding or counted
  model.bn_epsilon = model.bn_epsilon or card.bn_epsilon
  data.image_size = data.image_size or card.input_size
  data.eval_crop_mode = data.eval_crop_mode or card.crop_mode
  data.eval_crop_fraction = data.eval_crop_fraction or card.crop_fraction
  data.interpolation = data.interpolation or card.interpolation
  data.mean = tuple(data.mean) or mean
  data.std = tuple(data.std) or std
  return config


def of(config) -> Card:
  """The card of a network trained or imported with this resolved config."""
  return Card(
    input_size=config.data.image_size,
    mean=tuple(config.data.mean),
    std=tuple(config.data.std),
    crop_mode=config.data.eval_crop_mode,
    crop_fraction=config.data.eval_crop_fraction,
    interpolation=config.data.interpolation,
    count_include_pad=counts_padding(config),
    bn_epsilon=config.model.bn_epsilon,
  )


def data_of(card: Card):
  """What of `config.data` the preparation of an image depends on."""
  return ConfigDict(
    {
      'image_size': card.input_size,
      'channels': len(card.mean),
      'mean': card.mean,
      'std': card.std,
      'eval_crop_mode': card.crop_mode,
      'eval_crop_fraction': card.crop_fraction,
      'interpolation': card.interpolation,
      'max_pixels': MOST_PIXELS,
    }
  )


def counts_padding(config) -> bool:
  """Whether average pools count the padding."""
  return config.model.pool_padding == _COUNTED


POOL_PADDINGS = (_COUNTED, _IGNORED)


def to_json(card: Card) -> str:
  """The card as JSON."""
  return json.dumps(dataclasses.asdict(card))


def from_dict(values, where: str) -> Card:
  """A card out of parsed JSON, which may hold anything.

  Raises:
    UserError: it is not a card; `where` says of what.
  """
  expected = {
    field.name: type(field.default) for field in dataclasses.fields(Card)
  }
  try:
    if values.keys() != expected.keys():
      raise ValueError(f'expected the keys {", ".join(expected)}')
    values = {
      key: tuple(map(float, values[key])) if kind is tuple else values[key]
      for key, kind in expected.items()
    }
    for key, kind in expected.items():
      if type(values[key]) is not kind and key not in ('mean', 'std'):
        raise ValueError(f'{key}={values[key]!r}: expected {kind.__name__}')
    numbers = [values['crop_fraction'], values['bn_epsilon'], *values['std']]
    if not all(math.isfinite(x) and x > 0 for x in numbers):
      raise ValueError('expected numbers above 0')
  except (AttributeError, TypeError, ValueError) as error:
    raise UserError(f'{where}: not a card: {error}') from error
  return Card(**values)

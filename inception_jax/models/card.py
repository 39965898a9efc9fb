"""Cards: how images are prepared for a network."""

import dataclasses

from ml_collections import ConfigDict
import numpy as np

from inception_jax.data import evaluation_images

# Without a config, larger images are not decoded.
MAX_PIXELS = 80_000_000


@dataclasses.dataclass(frozen=True)
class Card:
  """How an image is prepared for a network.

  Each architecture has one. Each checkpoint and artifact has its own, which
  takes precedence, since weights from other frameworks differ.

  Attributes:
    input_size: height and width of the image in pixels.
    mean: one number for each channel, in 0…255.
    std: likewise; the network's input is `(image − mean) / std`.
    crop_mode: the region that evaluation uses: 'central', the center, a
      fraction of height and width; 'tf_central', the same with the margins of
      tf.image.central_crop, as in TF-slim; 'short_side', the center of an
      image whose shorter side is resized to input_size / fraction
      (torchvision's); 'mindspore_short_side', the same with MindSpore's
      rounding of longer side and center; 'squash', the whole image.
    crop_fraction: that fraction.
    interpolation: how evaluation resizes, one of
      `data.choices.INTERPOLATIONS`; see `data.resize`.
    exif: what becomes of the EXIF orientation of JPEGs: 'ignore', as in timm's
      and torchvision's loaders, or 'apply'.
    background: what is under transparent pixels: 'white', 'black' or '#rrggbb';
      'none': they keep their own color and alpha is dropped, as in timm's and
      torchvision's loaders.
  """

  input_size: int = 299
  mean: tuple[float, ...] = (127.5, 127.5, 127.5)
  std: tuple[float, ...] = (127.5, 127.5, 127.5)
  crop_mode: str = 'central'
  crop_fraction: float = 0.875
  interpolation: str = 'bilinear'
  exif: str = 'ignore'
  background: str = 'none'

  @property
  def image_shape(self) -> tuple[int, int, int]:
    """Height, width and channels of the network's input."""
    return self.input_size, self.input_size, len(self.mean)

  def preprocess(self, images: evaluation_images.Images) -> np.ndarray:
    """Returns images as evaluation passes them to the network.

    Args:
      images: a path; the bytes of a file; a PIL image; uint8 [H, W, 3] or
        [H, W, 1]; a batch of these, uint8 [B, H, W, C]; or a list of any of
        them, of any sizes.

    Returns:
      float32 [B, S, S, C], where a single image has B = 1.

    Raises:
      UserError: what cannot be read, a line for each.
    """
    return evaluation_images.prepare(images, to_config(self))


def of_channels(card: Card, channels: int) -> Card:
  """Returns `card` with the averages of mean and σ, if channels differ."""
  if channels == len(card.mean):
    return card
  average = lambda values: (sum(values) / len(values),) * channels
  return dataclasses.replace(
    card, mean=average(card.mean), std=average(card.std)
  )


def resolve(data: ConfigDict, card: Card) -> None:
  """Fills the keys of `config.data` that are 0 or empty from `card`."""
  card = of_channels(card, data.channels)
  data.image_size = data.image_size or card.input_size
  data.eval_crop_mode = data.eval_crop_mode or card.crop_mode
  data.eval_crop_fraction = data.eval_crop_fraction or card.crop_fraction
  data.interpolation = data.interpolation or card.interpolation
  data.exif = data.exif or card.exif
  data.background = data.background or card.background
  data.mean = tuple(data.mean) or card.mean
  data.std = tuple(data.std) or card.std


def from_config(data: ConfigDict) -> Card:
  """Returns the card of a network with this `config.data`, resolved."""
  return Card(
    input_size=data.image_size,
    mean=tuple(data.mean),
    std=tuple(data.std),
    crop_mode=data.eval_crop_mode,
    crop_fraction=data.eval_crop_fraction,
    interpolation=data.interpolation,
    exif=data.exif,
    background=data.background,
  )


def to_config(card: Card) -> ConfigDict:
  """Returns the keys of `config.data` that image preparation needs."""
  return ConfigDict(
    {
      'image_size': card.input_size,
      'channels': len(card.mean),
      'mean': card.mean,
      'std': card.std,
      'eval_crop_mode': card.crop_mode,
      'eval_crop_fraction': card.crop_fraction,
      'interpolation': card.interpolation,
      'exif': card.exif,
      'background': card.background,
      'max_pixels': MAX_PIXELS,
    }
  )

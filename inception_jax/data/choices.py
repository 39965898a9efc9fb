"""What the keys of image preparation accept; `models.card.Card` explains it."""

import re

CROP_MODES = (
  'central',
  'tf_central',
  'short_side',
  'mindspore_short_side',
  'squash',
)
INTERPOLATIONS = (
  'bilinear',
  'bicubic',
  'area',
  'nearest',
  'opencv_bilinear',
  'tf1_bilinear',
)
EXIF_MODES = ('ignore', 'apply')
# What becomes of transparency; beside it, colors as '#rrggbb'.
BACKGROUNDS = {'none': None, 'black': bytes(3), 'white': b'\xff' * 3}


def rgb(background: str) -> bytes | None:
  """Returns the color of a `data.background`, None of 'none'.

  Raises:
    ValueError: it is not one.
  """
  if background in BACKGROUNDS:
    return BACKGROUNDS[background]
  if not re.fullmatch('#[0-9a-fA-F]{6}', background):
    raise ValueError(f'{background!r} is no background')
  return bytes.fromhex(background[1:])


def is_background(background: str) -> bool:
  """Whether `rgb` takes it."""
  try:
    rgb(background)
  except ValueError:
    return False
  return True


# The check of a key, and what it accepts.
BACKGROUND = is_background, f'{", ".join(BACKGROUNDS)} or #rrggbb'

"""ImageNet's two archives: their counts, folders and validation classes."""

import os
import re

from inception_jax.data.lazy import tfds
from inception_jax.errors import UserError

TRAIN, VALIDATION = 'ILSVRC2012_img_train.tar', 'ILSVRC2012_img_val.tar'
TFDS_NAME = 'imagenet2012'
CLASSES = 1000
COUNTS = {'train': 1_281_167, 'validation': 50_000}
# Archive → the folder that its class folders go into.
FOLDERS = {TRAIN: 'train', VALIDATION: 'validation'}


def synsets() -> tuple[str, ...]:
  """Returns the 1000 classes, 'n01440764' …, in the order of their labels."""
  path = tfds.core.tfds_path('datasets/imagenet2012/labels.txt')
  return tuple(path.read_text().split())


def place_of_validation_image(name: str) -> str:
  """Returns CLASS/NAME for a name in the validation archive, which is flat.

  Raises:
    UserError: not the name of a validation image.
  """
  number = re.fullmatch(r'(?:.*/)?ILSVRC2012_val_(\d{8})\.JPEG', name)
  if not number or not 0 < int(number[1]) <= COUNTS['validation']:
    raise UserError(f'{VALIDATION}: {name} is not a validation image')
  # The classes by image number, a list that ships with tfds.
  path = tfds.core.tfds_path('datasets/imagenet2012/validation_labels.txt')
  synset = path.read_text().split()[int(number[1]) - 1]
  return os.path.join(synset, os.path.basename(name))

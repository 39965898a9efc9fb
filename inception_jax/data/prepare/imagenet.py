"""ImageNet's two archives: what is in them, and where it belongs."""

import os
import re

from inception_jax.errors import UserError

TRAIN, VALIDATION = 'ILSVRC2012_img_train.tar', 'ILSVRC2012_img_val.tar'

TFDS_NAME = 'imagenet2012'

CLASSES = 1000

COUNTS = {'train': 1_281_167, 'validation': 50_000}

# Where each archive goes, in a folder of class folders.
FOLDERS = {TRAIN: 'train', VALIDATION: 'validation'}


def place_of_validation_image(name: str) -> str:
  """Its class's folder and its name: the archive has no folders.

  Raises:
    UserError: not the name of a validation image.
  """
  number = re.fullmatch(r'(?:.*/)?ILSVRC2012_val_(\d{8})\.JPEG', name)
  if not number or not 0 < int(number[1]) <= COUNTS['validation']:
    raise UserError(f'{VALIDATION}: {name} is no image of it')
  synset = _validation_synsets()[int(number[1]) - 1]
  return os.path.join(synset, os.path.basename(name))


def _validation_synsets() -> list[str]:
  """In the order of the images' numbers, as tensorflow-datasets ships them."""
  import tensorflow_datasets as tfds

  path = tfds.core.tfds_path('datasets/imagenet2012/validation_labels.txt')
  return path.read_text().split()

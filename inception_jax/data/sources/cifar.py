"""`cifar`: CIFAR-10 and CIFAR-100 from their authors' archives.

https://www.cs.toronto.edu/~kriz/cifar.html: the binary or the Python version.
`data.dir` is the .tar.gz, a .zip of its files, or a folder in which it was
unpacked under any name. File names separate the training images from the test
images.
"""

import logging
import pathlib

import numpy as np

from inception_jax import errors
from inception_jax import inputs
from inception_jax.data import places
from inception_jax.data import splits
from inception_jax.data.sources import cifar_files
from inception_jax.data.sources import safe_pickle

log = logging.getLogger(__name__)

recognize = cifar_files.recognize
SPLITS = ('train', 'test')
_PIXELS = 3 * 32 * 32
_CIFAR10_NAMES = 'airplane automobile bird cat deer dog frog horse ship truck'


def check(config) -> list[str]:
  """Returns a message for each wrong key; reads no image."""
  problems = splits.check_splits(config, SPLITS)
  if not (config.data.dir and places.exists(_root(config))):
    problems.append(
      f'data.dir={config.data.dir!r}: no such folder, .tar.gz or .zip'
    )
  return problems


def load(config, split: str) -> splits.Indexed:
  """Reads a split into memory.

  Raises:
    UserError: no dataset, two datasets, or an incomplete or damaged one.
  """
  root = _root(config)
  version, files, others = cifar_files.find(root)
  if split == 'train':  # said once
    cifar_files.log_unread(version, others, root)
  names = getattr(version, split)
  if missing := [name for name in names if name not in files]:
    raise errors.UserError(
      *(f'{root}: {version.name} lacks {name}' for name in missing)
    )
  images, labels = [], []
  parse = _parse_binary if isinstance(version.label, int) else _parse_pickle
  for name in names:
    try:
      image, label = parse(files[name](), version.label)
      if label.min() < 0 or label.max() >= version.num_classes:
        raise ValueError(f'labels outside of {version.num_classes} classes')
    except Exception as error:  # from pickle, numpy or the file system
      raise errors.UserError(
        f'{root}: {name} is not from {version.name}, or damaged: {error}'
      ) from error
    images.append(image)
    labels.append(label)
  images = np.concatenate(images).reshape(-1, 3, 32, 32)
  return splits.from_arrays(
    np.ascontiguousarray(images.transpose(0, 2, 3, 1)),
    np.concatenate(labels),
    _class_names(files, version),
  )


def _root(config) -> pathlib.Path:
  return pathlib.Path(inputs.expand_home(config.data.dir))


def _parse_binary(content: bytes, column: int):
  """Returns images, uint8 [N, 3072], and labels, uint8 [N]."""
  width = column + 1 + _PIXELS
  if not content or len(content) % width:
    raise ValueError(
      f'its {len(content)} bytes are not a multiple of {width}, a record'
    )
  records = np.frombuffer(content, np.uint8).reshape(-1, width)
  return records[:, column + 1 :], records[:, column]


def _parse_pickle(content: bytes, key: bytes):
  """Returns images, uint8 [N, 3072], and labels, int64 [N]."""
  batch = safe_pickle.loads(content)
  images, labels = batch[b'data'], batch[key]
  if type(labels) is not list or {*map(type, labels)} != {int}:
    raise ValueError('its labels are not a list of integers')
  if type(images) is not np.ndarray:
    raise ValueError('its images are not an array')
  if images.shape != (len(labels), _PIXELS):
    raise ValueError(
      f'its images are uint8 {images.shape}, expected uint8 '
      f'({len(labels)}, {_PIXELS})'
    )
  return images, np.array(labels, np.int64)


def _class_names(files, version: cifar_files.Version) -> list[str]:
  """Reads the class names; without them, CIFAR-100's are numbers."""
  try:
    content = files[version.names_file]()
    if isinstance(version.label, int):
      names = content.decode().split()
    else:
      key = version.label.removesuffix(b's') + b'_names'
      names = safe_pickle.loads(content)[key]
      names = [n.decode() if isinstance(n, bytes) else n for n in names]
    if len(names) == version.num_classes:
      return names
  except Exception as error:  # the images are usable without names
    log.warning('%s: no class names: %s', version.names_file, error)
  if version.num_classes == 10:
    return _CIFAR10_NAMES.split()
  return [str(i) for i in range(version.num_classes)]

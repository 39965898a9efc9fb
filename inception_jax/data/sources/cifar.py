"""`cifar`: CIFAR-10 and CIFAR-100 from their authors' archives.

https://www.cs.toronto.edu/~kriz/cifar.html: the binary or the Python version.
`data.dir` is the .tar.gz, or a folder in which it was unpacked under any name.
File names separate the training images from the test images.
"""

from collections.abc import Callable
import functools
import logging
import os
import pathlib
from typing import NamedTuple

import numpy as np

from inception_jax import errors
from inception_jax import inputs
from inception_jax.data import splits
from inception_jax.data import tar
from inception_jax.data.sources import safe_pickle
from inception_jax.runtime import files as files_lib

log = logging.getLogger(__name__)

SPLITS = ('train', 'test')
_PIXELS = 3 * 32 * 32
_MAX_BYTES = 2**28  # all of CIFAR-100's files have 187 MB
_CIFAR10_NAMES = 'airplane automobile bird cat deer dog frog horse ship truck'
_BATCHES = [f'data_batch_{i}' for i in range(1, 6)]


class _Version(NamedTuple):
  """The contents of one of the archives."""

  num_classes: int
  # Its column in the binary version's records, the last before the pixels; or
  # its key in the Python version's dictionaries.
  label: int | bytes
  names_file: str  # has the class names
  train: list[str]  # the files of this split
  test: list[str]

  @property
  def name(self) -> str:
    return f'CIFAR-{self.num_classes}'


_VERSIONS = (
  _Version(
    10,
    0,
    'batches.meta.txt',
    [f'{batch}.bin' for batch in _BATCHES],
    ['test_batch.bin'],
  ),
  # The coarse label comes first.
  _Version(100, 1, 'fine_label_names.txt', ['train.bin'], ['test.bin']),
  _Version(10, b'labels', 'batches.meta', _BATCHES, ['test_batch']),
  _Version(100, b'fine_labels', 'meta', ['train'], ['test']),
)
_FILE_NAMES = {
  name for v in _VERSIONS for name in (v.names_file, *v.train, *v.test)
}


def check(config) -> list[str]:
  """Returns a message for each wrong key; reads no image."""
  problems = splits.check_splits(config, SPLITS)
  if not (config.data.dir and _root(config).exists()):
    problems.append(f'data.dir={config.data.dir!r}: no such folder or .tar.gz')
  return problems


def load(config, split: str) -> splits.Indexed:
  """Reads a split into memory.

  Raises:
    UserError: no dataset, two datasets, or an incomplete or damaged one.
  """
  root = _root(config)
  try:
    files = _unpacked(root) if root.is_dir() else _archived(root)
  except Exception as error:  # from tarfile and every module below it
    raise errors.UserError(
      f'{root} cannot be read: {errors.one_line(error)}'
    ) from error
  version = _find_version(files, root)
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


def _unpacked(root: pathlib.Path) -> dict[str, Callable[[], bytes]]:
  """Returns {name: function that reads it} of a folder and its subfolders."""
  files = {}
  for path in sorted([*root.glob('*'), *root.glob('*/*')], reverse=True):
    if path.name in _FILE_NAMES and not path.is_dir():
      files[path.name] = lambda path=path: files_lib.read(path, _MAX_BYTES)
  return files


def _archived(path: pathlib.Path) -> dict[str, Callable[[], bytes]]:
  """Returns the same for an archive; nothing is unpacked to disk."""
  files, size = {}, 0
  with open(path, 'rb', opener=files_lib.regular) as file:
    for member, content in tar.files(file):
      name = os.path.basename(member.name)
      if name in _FILE_NAMES:
        size += member.size
        if size > _MAX_BYTES:
          raise ValueError('its files are too large to be CIFAR')
        files[name] = functools.partial(bytes, content.read())
  return files


def _find_version(files, root: pathlib.Path) -> _Version:
  """Returns the version that most of these files belong to."""
  count = lambda v: len(files.keys() & {*v.train, *v.test})
  names = sorted({version.name for version in _VERSIONS if count(version)})
  if not names:
    raise errors.UserError(
      f'{root} has none of the files of CIFAR-10 and CIFAR-100, such as '
      'data_batch_1.bin or train'
    )
  if len(names) > 1:
    raise errors.UserError(
      f'{root} has {" and ".join(names)}: set data.dir to the folder of one'
    )
  return max(_VERSIONS, key=count)


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


def _class_names(files, version: _Version) -> list[str]:
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

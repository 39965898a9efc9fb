"""`cifar`: CIFAR-10 and CIFAR-100 as their authors' archives hold them.

https://www.cs.toronto.edu/~kriz/cifar.html: the binary and the Python version,
unpacked under any name in `data.dir` or the .tar.gz itself. The names of the
files say which images are for training; the others never reach it.
"""

from collections.abc import Callable
import dataclasses
import logging
import os
import pathlib
import tarfile

import numpy as np

from inception_jax import errors
from inception_jax.data import splits
from inception_jax.data.sources import safe_pickle

log = logging.getLogger(__name__)

SPLITS = ('train', 'test')

_PIXELS = 3 * 32 * 32

_MOST_BYTES = 2**28  # of a file; CIFAR-100's largest has 155 MB

_CIFAR10 = 'airplane automobile bird cat deer dog frog horse ship truck'

_BATCHES = [f'data_batch_{i}' for i in range(1, 6)]


@dataclasses.dataclass(frozen=True)
class _Version:
  """One of the archives.

  Attributes:
    name: of the data set.
    files: of each split.
    names: the file of the names of the classes.
    classes: how many there are.
    label: where a label lies: a column of the binary version's records, a key
      of the Python version's dictionaries.
    labels: how many columns are labels.
  """

  name: str
  files: dict[str, list[str]]
  names: str
  classes: int
  label: int | bytes
  labels: int = 0


VERSIONS = (
  _Version(
    'CIFAR-10',
    {'train': [f'{b}.bin' for b in _BATCHES], 'test': ['test_batch.bin']},
    names='batches.meta.txt',
    classes=10,
    label=0,
    labels=1,
  ),
  _Version(
    'CIFAR-100',
    {'train': ['train.bin'], 'test': ['test.bin']},
    names='fine_label_names.txt',
    classes=100,
    label=1,  # the coarse one comes first
    labels=2,
  ),
  _Version(
    'CIFAR-10',
    {'train': _BATCHES, 'test': ['test_batch']},
    names='batches.meta',
    classes=10,
    label=b'labels',
  ),
  _Version(
    'CIFAR-100',
    {'train': ['train'], 'test': ['test']},
    names='meta',
    classes=100,
    label=b'fine_labels',
  ),
)

_KNOWN = {version.names for version in VERSIONS} | {
  name
  for version in VERSIONS
  for names in version.files.values()
  for name in names
}


def check(config) -> list[str]:
  """Says what is missing; reads no image."""
  faults = splits.unknown(config, SPLITS)
  if not config.data.dir or not _root(config).exists():
    faults.append(f'data.dir={config.data.dir!r}: no such folder or .tar.gz')
  return faults


def load(config, split: str) -> splits.Indexed:
  """Reads a split into memory.

  Raises:
    UserError: no CIFAR, a part of it, two of them, or one that is damaged.
  """
  root = _root(config)
  try:
    files = _archived(root) if root.is_file() else _unpacked(root)
  except (OSError, EOFError, tarfile.TarError) as error:
    raise errors.UserError(f'{root} cannot be read: {error}') from error
  version = _version(files, root)
  wanted = version.files[split]
  if missing := [name for name in wanted if name not in files]:
    raise errors.UserError(
      *(f'{root}: {version.name} lacks {name}' for name in missing)
    )
  images, labels = [], []
  for name in wanted:
    try:
      content = files[name]()
      if isinstance(version.label, int):
        image, label = _binary(content, version)
      else:
        image, label = _pickled(content, version)
      if label.min() < 0 or label.max() >= version.classes:
        raise ValueError(f'labels beyond {version.classes} classes')
    except Exception as error:  # of pickle, numpy or the file system
      raise errors.UserError(
        f'{root}: {name} is not {version.name}, or damaged: {error}'
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
  return pathlib.Path(os.path.expanduser(config.data.dir))


def _unpacked(root: pathlib.Path) -> dict[str, Callable[[], bytes]]:
  """Name → how it is read, of the known files in a folder and those in it."""
  files = {}
  for path in sorted([*root.glob('*'), *root.glob('*/*')], reverse=True):
    if path.name in _KNOWN and path.is_file():
      if path.stat().st_size > _MOST_BYTES:
        raise OSError(f'{path} is too large to be CIFAR')
      files[path.name] = path.read_bytes
  return files


def _archived(path: pathlib.Path) -> dict[str, Callable[[], bytes]]:
  """The same of an archive; nothing is unpacked to disk."""
  files = {}
  with tarfile.open(path) as archive:
    for member in archive:
      name = os.path.basename(member.name)
      if name in _KNOWN and member.isfile():
        if member.size > _MOST_BYTES:
          raise OSError(f'{member.name} in it is too large to be CIFAR')
        content = archive.extractfile(member).read()
        files[name] = lambda content=content: content
  return files


def _version(files, root: pathlib.Path) -> _Version:
  """The version that these are files of, the most of them."""
  count = lambda version: sum(
    name in files for names in version.files.values() for name in names
  )
  found = [version for version in VERSIONS if count(version)]
  names = sorted({version.name for version in found})
  if not found:
    raise errors.UserError(
      f'{root} has none of the files of CIFAR-10 and CIFAR-100, such as '
      'data_batch_1.bin or train'
    )
  if len(names) > 1:
    raise errors.UserError(
      f'{root} has {" and ".join(names)}: set data.dir to the folder of one'
    )
  return max(found, key=count)


def _binary(content: bytes, version: _Version):
  """uint8 [N, 3072], uint8 [N]."""
  width = version.labels + _PIXELS
  if not content or len(content) % width:
    raise ValueError(f'its {len(content)} bytes are no records of {width}')
  records = np.frombuffer(content, np.uint8).reshape(-1, width)
  return records[:, version.labels :], records[:, version.label]


def _pickled(content: bytes, version: _Version):
  """uint8 [N, 3072], int64 [N]."""
  batch = safe_pickle.loads(content)
  images = np.asarray(batch[b'data'])
  labels = np.asarray(batch[version.label])
  if images.dtype != np.uint8 or images.shape != (len(labels), _PIXELS):
    raise ValueError(f'it holds {images.dtype} {images.shape}')
  if labels.ndim != 1 or labels.dtype.kind not in 'iu' or not labels.size:
    raise ValueError('its labels are not numbers')
  return images, labels


def _class_names(files, version: _Version) -> list[str]:
  """As the archive has them; of CIFAR-10 known, else numbers."""
  try:
    content = files[version.names]()
    if isinstance(version.label, int):
      names = content.decode().split()
    else:
      meta = safe_pickle.loads(content)
      key = b'fine_label_names' if version.classes == 100 else b'label_names'
      names = [name.decode() for name in meta[key]]
    if len(names) == version.classes:
      return names
  except Exception as error:  # names are worth no more than a warning
    log.warning('%s: no names of the classes: %s', version.names, error)
  if version.classes == 10:
    return _CIFAR10.split()
  return [str(i) for i in range(version.classes)]

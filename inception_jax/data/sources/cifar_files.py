"""The files of CIFAR-10 and CIFAR-100, in folders and archives."""

from collections.abc import Callable
from collections.abc import Iterator
import functools
import itertools
import logging
import os
import pathlib
from typing import NamedTuple

from inception_jax import errors
from inception_jax.data import archived
from inception_jax.data import places
from inception_jax.data import zip_index
from inception_jax.data.sources import recognition
from inception_jax.data.sources.recognition import Found

log = logging.getLogger(__name__)

_MAX_BYTES = 2**28  # all of CIFAR-100's files have 187 MB
_BATCHES = [f'data_batch_{i}' for i in range(1, 6)]


class Version(NamedTuple):
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
    """That of the dataset."""
    return f'CIFAR-{self.num_classes}'


_VERSIONS = (
  Version(
    10,
    0,
    'batches.meta.txt',
    [f'{batch}.bin' for batch in _BATCHES],
    ['test_batch.bin'],
  ),
  # The coarse label comes first.
  Version(100, 1, 'fine_label_names.txt', ['train.bin'], ['test.bin']),
  Version(10, b'labels', 'batches.meta', _BATCHES, ['test_batch']),
  Version(100, b'fine_labels', 'meta', ['train'], ['test']),
)
_IMAGES = [name for v in _VERSIONS for name in (*v.train, *v.test)]
_FILE_NAMES = {*_IMAGES, *(v.names_file for v in _VERSIONS)}
# What the archives and the systems that unpack them have beside these.
_EXPECTED = ('readme.html', 'file.txt~', 'thumbs.db', 'desktop.ini')
_MOST_NAMED = 6

# The functions that read files, by name.
Files = dict[str, Callable[[], bytes]]


def find(root: pathlib.Path) -> tuple[Version, Files, list[str]]:
  """Returns the version in a folder or archive, its files, and other names.

  Raises:
    UserError: the archive cannot be read, or there are no files of CIFAR, or
      those of both datasets.
  """
  try:
    is_folder = places.is_unpacked(root)
    files, others = _unpacked(root) if is_folder else _archived(root)
  except errors.UserError:
    raise
  except Exception as error:  # from tarfile and every module below it
    raise errors.UserError(
      f'{root} cannot be read: {errors.one_line(error)}'
    ) from error
  return _find_version(files, root), files, others


def recognize(path: str) -> Iterator[Found]:
  """Yields what is there; see `recognition`."""
  if places.is_unpacked(path):
    paths = (
      os.path.join(folder, name)
      for folder in (path, *recognition.folders(path))
      for name in _IMAGES
    )
    is_file = lambda x: places.exists(x) and not places.is_folder(x)
    seen = next(filter(is_file, paths), '')
  else:
    seen = _first_member(path)
  if seen:
    yield Found('cifar', path, f'{seen} of CIFAR')


def _first_member(path: str) -> str:
  """Returns the name of a file of CIFAR in an archive; '' if there is none."""
  try:
    with places.open_file(path) as file:
      is_zip = zip_index.is_zip(file)
      members = archived.contents(file, path)
      for name, *_ in itertools.islice(members, None if is_zip else 5):
        if os.path.basename(name) in _IMAGES:
          return name
  except Exception:
    return ''
  return ''


def _unpacked(root: pathlib.Path) -> tuple[Files, list[str]]:
  """Returns the files in a folder and its subfolders.

  {name: function that reads it}, and the other names in the same folders.
  """
  entries = places.scan(str(root))
  folders = [entry.path for entry in entries if entry.is_dir()]
  entries += [entry for folder in folders for entry in places.scan(folder)]
  paths = {pathlib.Path(entry.path): entry.is_dir() for entry in entries}
  files = {
    path.name: functools.partial(_content, str(path))
    for path in sorted(paths, reverse=True)
    if path.name in _FILE_NAMES and not paths[path]
  }
  return files, [x.name for x in _others(paths) if not paths[x]]


def _content(path: str) -> bytes:
  """Returns the content of a file; of CIFAR's, that is at most _MAX_BYTES."""
  with places.open_file(path) as file:
    content = file.read(_MAX_BYTES + 1)
  if len(content) > _MAX_BYTES:
    raise ValueError('it is too large to be CIFAR')
  return content


def _archived(path: pathlib.Path) -> tuple[Files, list[str]]:
  """Returns the same for an archive; nothing is unpacked to disk."""
  files, paths, size = {}, [], 0
  with places.open_file(str(path)) as file:
    for name, length, content in archived.contents(file, str(path)):
      paths.append(member := pathlib.PurePosixPath(name))
      if member.name in _FILE_NAMES:
        size += length
        if size > _MAX_BYTES:
          raise ValueError('its files are too large to be CIFAR')
        # No more than that: a .zip may hold more than it declares.
        files[member.name] = functools.partial(bytes, content.read(length))
  return files, [path.name for path in _others(paths)]


def _others(paths: list[pathlib.PurePath]) -> list[pathlib.PurePath]:
  """Returns what is beside the files of CIFAR and not hidden, sorted."""
  folders = {path.parent for path in paths if path.name in _FILE_NAMES}
  return sorted(
    path
    for path in paths
    if path.parent in folders
    and path.name not in _FILE_NAMES
    and path.name.lower() not in _EXPECTED
    and not path.name.startswith('.')
  )


def log_unread(version: Version, others: list[str], root) -> None:
  """Logs in one line which files are not read, and why."""
  if not others:
    return
  some = errors.shorten(others, _MOST_NAMED)
  log.warning(
    'not read: %s in %s; %s has %d files of training images, %s, and %s',
    errors.printable(', '.join(some)),
    root,
    version.name,
    len(version.train),
    ' to '.join(dict.fromkeys((version.train[0], version.train[-1]))),
    version.test[0],
  )


def _find_version(files, root: pathlib.Path) -> Version:
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

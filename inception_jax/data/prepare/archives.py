"""Dataset archives: comparing them with the published ones, and unpacking.

Archives are not trusted: only files are unpacked, only to paths inside the
target, and their total size is limited.
"""

from collections.abc import Callable
from collections.abc import Iterator
import hashlib
import os
import shutil
import sys
import tarfile
from typing import BinaryIO
from typing import NamedTuple

import tqdm

from inception_jax import inputs
from inception_jax.data import archived
from inception_jax.errors import UserError
from inception_jax.errors import one_line
from inception_jax.runtime import files

_BLOCK = 2**22


class Published(NamedTuple):
  """A published archive: its size in bytes, and its SHA-256."""

  size: int
  sha256: str


# The values that tensorflow-datasets and Keras check.
PUBLISHED = {
  'ILSVRC2012_img_train.tar': Published(
    147_897_477_120,
    'b08200a27a8e34218a0e58fde36b0fe8f73bc377f4acea2d91602057c3ca45bb',
  ),
  'ILSVRC2012_img_val.tar': Published(
    6_744_924_160,
    'c7e06a6c0baccf06d8dbeb6577d71efff84673a5dbdd50633ab44f8ea0456ae0',
  ),
  'cifar-10-binary.tar.gz': Published(
    170_052_171,
    'c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd',
  ),
  'cifar-100-binary.tar.gz': Published(
    168_513_733,
    '58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec',
  ),
  'cifar-10-python.tar.gz': Published(
    170_498_071,
    '6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce',
  ),
  'cifar-100-python.tar.gz': Published(
    169_001_437,
    '85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7',
  ),
}


def verify(paths: list[str]) -> list[str]:
  """Compares archives with the published ones of the same names.

  Sizes are compared first, because hashing 148 GB takes minutes.

  Returns:
    The paths of the published archives; others are not checked.

  Raises:
    UserError: every archive that differs from the published one.
  """
  known = [p for p in paths if os.path.basename(p) in PUBLISHED]
  published = {path: PUBLISHED[os.path.basename(path)] for path in known}
  problems = [
    f'{path} has {os.path.getsize(path)} bytes, the published one '
    f'{published[path].size}: it is truncated, or another archive'
    for path in known
    if os.path.getsize(path) != published[path].size
  ]
  problems = problems or [
    f'{path} is not the published one: its SHA-256 is {digest}, not '
    f'{published[path].sha256}'
    for path in known
    if (digest := _sha256(path)) != published[path].sha256
  ]
  if problems:
    raise UserError(*problems)
  return known


def _sha256(path: str) -> str:
  # hashlib.file_digest could not report the progress over 148 GB.
  digest = hashlib.sha256()
  with (
    open(path, 'rb', opener=files.regular) as file,
    _progress(f'verifying {path}', path) as bar,
  ):
    while block := file.read(_BLOCK):
      digest.update(block)
      bar.update(len(block))
  return digest.hexdigest()


def _progress(description: str, path: str) -> tqdm.tqdm:
  """Returns a progress bar over the bytes of a file."""
  size = os.path.getsize(path)
  return tqdm.tqdm(desc=description, total=size, unit='B', unit_scale=True)


def cannot_unpack(
  data_dir: str, targets: dict[str, str], paths: list[str]
) -> list[str]:
  """Returns the reasons why a dataset cannot be written to `data_dir`.

  Args:
    data_dir: its folder.
    targets: the folder in it for each archive that is unpacked.
    paths: of all archives.
  """
  if '://' in data_dir:
    return []  # a remote file system, which tfds writes to
  if os.path.realpath(data_dir) in map(os.path.realpath, sys.path):
    return [
      f'--data_dir={data_dir}: Python looks for modules there, and would run '
      'unpacked files; choose another folder'
    ]
  problems = [
    f'{target} already exists'
    for target in targets.values()
    if os.path.lexists(target)
  ]
  if reason := files.cannot_write(data_dir):
    return [*problems, f'--data_dir={data_dir} cannot be written: {reason}']
  needed = sum(map(os.path.getsize, paths))
  return problems + files.check_free_space(data_dir, needed)


def unpack(
  path: str, folder: str, max_bytes: int, place: Callable[[str], str] = str
) -> int:
  """Unpacks a .zip, or a .tar, compressed or not, into a new folder.

  An archive within it, such as that of each ImageNet class, becomes a folder
  of the same name.

  Args:
    path: the archive.
    folder: the folder to make; its contents are incomplete after an error.
    max_bytes: limit for all files together.
    place: maps a file's name in the archive to its path in `folder`.

  Returns:
    The number of files.

  Raises:
    UserError: a file that is damaged or not an archive, a member outside of
      the target, a link or device, or more than `max_bytes`.
  """
  os.makedirs(folder)
  count = size = 0
  try:
    with (
      open(path, 'rb', opener=files.regular) as file,
      _progress(f'unpacking {path}', path) as bar,
    ):
      for target, length, content in _members(file, path, folder, place):
        size += length
        if size > max_bytes:
          raise UserError(
            f'{path} unpacks to more than {max_bytes} bytes; if that is '
            'right, raise --max_gb'
          )
        os.makedirs(os.path.dirname(target), exist_ok=True)
        # Mode x: an archive with the same name twice is damaged.
        with open(target, 'xb') as unpacked:
          shutil.copyfileobj(content, unpacked, _BLOCK)
          if unpacked.tell() != length:
            raise ValueError(f'{target} is truncated')
        count += 1
        bar.update(file.tell() - bar.n)
  except UserError:
    raise
  except Exception as error:  # from tarfile and every module below it
    raise UserError(f'{path} cannot be unpacked: {one_line(error)}') from error
  return count


def _members(
  file: BinaryIO,
  path: str,
  folder: str,
  place: Callable[[str], str],
  parent: str = '',
) -> Iterator[tuple[str, int, BinaryIO]]:
  """Yields the path, size and content of each file in an archive.

  Archives in it, but not those in these, are opened, too; `parent` is theirs.
  `path` is that of the outermost, for messages.
  """
  mode = 'r:' if parent else 'r'
  for name, size, content in archived.contents(file, path, mode):
    name = os.path.join(parent, name)
    if name.endswith('.tar') and not parent:
      name = name.removesuffix('.tar')
      _inside(folder, name)
      yield from _members(content, path, folder, place, name)
    else:
      yield _inside(folder, place(name)), size, content


def _inside(folder: str, name: str) -> str:
  """Returns the path in `folder` for a file that is to be called `name`.

  All names come through here, after all that is done to them.

  Raises:
    ValueError: it would lie elsewhere.
    tarfile.FilterError: tarfile's own filter for data refuses it.
  """
  parts = inputs.parts_inside(name)
  tarfile.data_filter(tarfile.TarInfo(name), folder)
  return os.path.join(folder, *parts)

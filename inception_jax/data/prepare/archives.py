"""Archives of data sets: whether they are the published ones, and unpacking.

An archive comes from outside: nothing in it may name a place that is not its
own, be anything but a file or a folder, or grow beyond what is allowed.
"""

from collections.abc import Callable
import dataclasses
import hashlib
import lzma
import os
import pathlib
import tarfile
import zlib

from inception_jax.errors import UserError

_BLOCK = 2**22

# What tarfile and what is below it raise of an archive that is not whole.
_DAMAGE = (
  tarfile.TarError,
  OSError,
  EOFError,
  ValueError,
  zlib.error,
  lzma.LZMAError,
)


@dataclasses.dataclass(frozen=True)
class Published:
  """What an archive's authors published: its bytes, and their SHA-256."""

  size: int
  sha256: str


# As tensorflow-datasets and Keras check them.
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
  """Compares archives with the published ones of their names.

  All sizes come first, since they take no time; a sum of 148 GB takes minutes.

  Returns:
    The paths of those that are known, and as published.

  Raises:
    UserError: all that are not as published.
  """
  known = [p for p in paths if os.path.basename(p) in PUBLISHED]
  published = {path: PUBLISHED[os.path.basename(path)] for path in known}
  faults = [
    f'{path} has {os.path.getsize(path)} bytes, the published one '
    f'{published[path].size}: it is cut short or another'
    for path in known
    if os.path.getsize(path) != published[path].size
  ]
  faults = faults or [
    f'{path} is not the published one: its SHA-256 is {found}, not '
    f'{published[path].sha256}'
    for path in known
    if (found := _sha256(path)) != published[path].sha256
  ]
  if faults:
    raise UserError(*faults)
  return known


def _sha256(path: str) -> str:
  digest = hashlib.sha256()
  with open(path, 'rb') as file, progress(f'verifying {path}', path) as bar:
    while block := file.read(_BLOCK):
      digest.update(block)
      bar.update(len(block))
  return digest.hexdigest()


def progress(what: str, path: str):
  """A bar over the bytes of a file."""
  import tqdm

  size = os.path.getsize(path)
  return tqdm.tqdm(desc=what, total=size, unit='B', unit_scale=True)


def unpack(
  path: str,
  folder: str,
  most_bytes: int,
  place: Callable[[str], str] = str,
) -> int:
  """Unpacks a .tar, also compressed, into a folder that it makes.

  An archive within it, as of each class of ImageNet, becomes a folder of its
  name.

  Args:
    path: of the archive.
    folder: for what is in it; what it holds is of no use after an error.
    most_bytes: of all files together.
    place: a file's name in the archive → where it goes in `folder`.

  Returns:
    How many files there are.

  Raises:
    UserError: an archive that is damaged, or no archive, or that holds what
      does not belong there.
  """
  os.makedirs(folder)
  try:
    with progress(f'unpacking {path}', path) as bar, open(path, 'rb') as file:
      with tarfile.open(fileobj=file) as archive:
        writer = _Writer(path, pathlib.Path(folder), most_bytes, place)
        writer.all_of(archive, lambda: bar.update(file.tell() - bar.n))
        # The sum of what was packed comes last.
        while archive.fileobj.read(_BLOCK):
          pass
  except _DAMAGE as error:
    raise UserError(f'{path} cannot be unpacked: {error}') from error
  return writer.count


class _Writer:
  """Files of an archive on their way to disk."""

  def __init__(self, path, folder: pathlib.Path, most_bytes: int, place):
    self.count = 0
    self._path, self._folder, self._place = path, folder, place
    self._left = self._most = most_bytes

  def all_of(self, archive: tarfile.TarFile, done, inside='') -> None:
    """Writes the members of an archive that is called `inside` in another."""
    for member in archive:
      name = os.path.join(inside, member.name)
      parts = pathlib.PurePosixPath(member.name).parts
      if member.name.startswith('/') or '..' in parts:
        raise UserError(f'{self._path}: {name} lies outside of the archive')
      if member.isdir():
        continue
      if not member.isfile():
        raise UserError(f'{self._path}: {name} is a link or a device')
      content = archive.extractfile(member)
      if name.endswith('.tar') and not inside:
        with tarfile.open(fileobj=content, mode='r:') as inner:
          self.all_of(inner, done, name.removesuffix('.tar'))
      else:
        self._write(content, member.size, name)
      done()

  def _write(self, content, size: int, name: str) -> None:
    self._left -= size
    if self._left < 0:
      raise UserError(
        f'{self._path} unpacks to more than {self._most} bytes; if that is '
        'right, say so with --max_gb'
      )
    path = self._folder / self._place(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not over what is there: an archive that holds a name twice is damaged.
    with open(path, 'xb') as file:
      while block := content.read(_BLOCK):
        file.write(block)
    self.count += 1

"""The index of a stranger's .zip: its entries, checked before one is read.

Entries are stored or deflated: other compressions have no bound on what a few
bytes may become.
"""

from collections.abc import Iterator
import contextlib
import stat
from typing import BinaryIO
from typing import NamedTuple
import zipfile

from inception_jax import errors
from inception_jax import inputs

LOCAL_HEADER = 30  # bytes, before an entry's name and its own fields
ENCRYPTED, _UTF8 = 1, 0x800  # flags
_MAX_RATIO = 1032  # deflate's: 258 bytes from two bits
_READABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_METHODS = {9: 'Deflate64', 12: 'bzip2', 14: 'LZMA', 93: 'zstd', 95: 'xz'}


class Member(NamedTuple):
  """An entry.

  Attributes:
    info: zipfile's.
    parts: of its path: folders, and the file's name; '' for a folder.
    end: the offset at which the next entry or the index begins.
  """

  info: zipfile.ZipInfo
  parts: tuple[str, ...]
  end: int


def read(file: BinaryIO, path: str) -> list[Member]:
  """Returns the entries of a .zip, in the order of their offsets.

  `path` is that of the file, for messages.

  Raises:
    UserError: damage, names outside of the archive or that are there twice,
      links, devices, encrypted or overlapping entries, sizes that cannot be
      true, and other compressions.
  """
  try:
    with zipfile.ZipFile(file) as archive:
      infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
      ends = [*(info.header_offset for info in infos), archive.start_dir][1:]
  except Exception as error:  # zipfile raises whatever it meets
    raise errors.UserError(
      f'{path} cannot be read: {errors.one_line(error)}'
    ) from error
  members, faults = [], {}
  for info, end in zip(infos, ends, strict=True):
    name = _name(info)
    try:
      members.append(Member(info, _parts(name), end))
      fault = _fault(info, end)
    except ValueError:
      fault = 'lies outside of the archive'
    if fault:
      faults.setdefault(fault, []).append(name)
  if twice := _twice(members):
    faults['is there twice'] = twice
  if faults:
    lines = [
      f'{path}: {_line(fault, names)}' for fault, names in faults.items()
    ]
    raise errors.UserError(*errors.shorten(lines))
  return members


def _line(fault: str, names: list[str]) -> str:
  more = f' and {len(names) - 1} more' if len(names) > 1 else ''
  return f'{names[0][:80]!r}{more}: {fault}'


def _name(info: zipfile.ZipInfo) -> str:
  """Returns an entry's name, in whichever code its writer wrote it."""
  name = info.orig_filename
  if not (info.flag_bits & _UTF8 or name.isascii()):
    # macOS and Info-ZIP write UTF-8 without saying so.
    with contextlib.suppress(UnicodeError):
      name = name.encode('cp437').decode('utf-8')
  # Some writers on Windows leave its separators.
  return name.replace('\\', '/') if info.create_system == 0 else name


def _parts(name: str) -> tuple[str, ...]:
  if name.endswith('/'):
    return (*inputs.parts_inside(f'{name}_')[:-1], '')
  return inputs.parts_inside(name)


def _fault(info: zipfile.ZipInfo, end: int) -> str:
  """Returns what is wrong with an entry that must end at `end`, or ''."""
  kind = stat.S_IFMT(info.external_attr >> 16)
  if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
    return 'a link or a device'
  if info.flag_bits & ENCRYPTED:
    return 'encrypted; unpack it with its password first'
  if info.compress_type not in _READABLE:
    method = _METHODS.get(info.compress_type, f'method {info.compress_type}')
    return f'compressed by {method}; only stored and deflated files are read'
  if (
    info.header_offset < 0
    or info.header_offset + LOCAL_HEADER + info.compress_size > end
  ):
    return 'damaged, it overlaps another one or the end of the archive'
  least = info.file_size
  if info.compress_type == zipfile.ZIP_DEFLATED:
    least = info.file_size // _MAX_RATIO
  if least > info.compress_size:
    return f'damaged, {info.compress_size} bytes are not {info.file_size}'
  return ''


def _twice(members: list[Member]) -> list[str]:
  """Returns the names that are there twice, or are both file and folder."""
  seen, folders, twice = set(), set(), []
  for _, parts, _ in members:
    *parents, name = parts
    folders.add(tuple(parents))
    if not name:
      continue
    if parts in seen:
      twice.append('/'.join(parts))
    seen.add(parts)
  for folder in folders:
    above = (folder[:i] for i in range(1, len(folder) + 1))
    twice += ['/'.join(x) for x in above if x in seen]
  return sorted(twice)


def files(file: BinaryIO, path: str) -> Iterator[tuple[str, int, BinaryIO]]:
  """Yields the name, size and content of each file, to be read at once.

  The content may end before its size. `path` is as for `read`.

  Raises:
    UserError: as `read`.
    zipfile.BadZipFile, OSError, EOFError, zlib.error, …: damaged content.
  """
  members = read(file, path)
  with zipfile.ZipFile(file) as archive:
    for info, parts, _ in members:
      if parts[-1]:
        with archive.open(info) as content:
          yield '/'.join(parts), info.file_size, content


def is_zip(file: BinaryIO) -> bool:
  """Returns whether an open file is a .zip, from its first bytes."""
  start = file.read(4)
  file.seek(0)
  return start in (zipfile.stringFileHeader, zipfile.stringEndArchive)

"""Limits on the memory that a small file may ask for.

Weights do not compress, and no writer of the supported formats compresses them:
a file that declares more arrays than it has bytes was made to exhaust memory.
"""

import os
import zipfile

# About ten times the largest network of the family, which has 225 MB.
_MAX_BYTES = 2**31


def check_size(nbytes: int, available: int = _MAX_BYTES) -> None:
  """Checks the size that a file declares, before memory is allocated for it.

  `nbytes` is the sum over all arrays, `available` the size of the file.

  Raises:
    ValueError: it is more than `available`, or more than any network needs.
  """
  limit = min(available, _MAX_BYTES)
  if nbytes > limit:
    raise ValueError(
      f'it declares {nbytes} bytes of arrays, but can hold only {limit}'
    )


def read_stored(path: str, name: str) -> bytes:
  """Reads a member of a zip that is not compressed.

  Raises:
    ValueError: it is compressed, or declares more bytes than the zip has.
    OSError, KeyError, zipfile.BadZipFile: the file is malformed.
  """
  with zipfile.ZipFile(path) as archive:
    check_stored([archive.getinfo(name)], os.path.getsize(path))
    return archive.read(name)


def check_stored(members: list[zipfile.ZipInfo], available: int) -> None:
  """Checks members of a zip of `available` bytes; see `read_stored`."""
  for member in members:
    if member.compress_type != zipfile.ZIP_STORED:
      raise ValueError(f'{member.filename} is compressed')
  check_size(sum(member.file_size for member in members), available)

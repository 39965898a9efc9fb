"""Reading strangers' .tar files, compressed or not.

tarfile alone takes a damaged header for the end of the archive, and reads
headers of any size into memory.
"""

from collections.abc import Iterator
import tarfile
from typing import BinaryIO

_BLOCK = 2**22
_MAX_HEADER = 2**20  # bytes of a name, or of a member's attributes
_HEADERS = (
  tarfile.GNUTYPE_LONGNAME,
  tarfile.GNUTYPE_LONGLINK,
  tarfile.SOLARIS_XHDTYPE,
  tarfile.XGLTYPE,
  tarfile.XHDTYPE,
)


def files(
  file: BinaryIO, mode: str = 'r'
) -> Iterator[tuple[tarfile.TarInfo, BinaryIO]]:
  """Yields each file in an archive, and its content to be read at once.

  Folders are left out. `mode` is that of `tarfile.open`.

  Raises:
    tarfile.TarError, OSError, EOFError, ValueError, RecursionError, …: a link,
      a device or a sparse file, damage, or an archive without an end.
  """
  with tarfile.open(fileobj=file, mode=mode, tarinfo=_Member) as archive:
    while member := archive.next():
      archive.members.clear()  # tarfile would keep millions
      if member.isdir():
        continue
      if member.size < 0 or not member.isfile() or member.issparse():
        raise tarfile.TarError(
          f'{member.name[:80]!r} is a link or a device, or sparse'
        )
      yield member, archive.extractfile(member)
    # To the end, where a compressed file has its checksum. A header that was
    # overwritten with zeros looks like the end of the archive.
    while block := archive.fileobj.read(_BLOCK):
      if block.strip(b'\0'):
        raise tarfile.TarError('there are data behind the end of the archive')


class _Member(tarfile.TarInfo):
  """A header; `TarFile.next` takes a HeaderError for the end, no TarError."""

  @classmethod
  def frombuf(cls, buf, encoding, errors):
    try:
      member = super().frombuf(buf, encoding, errors)
    except tarfile.EOFHeaderError:
      raise  # the end, as it should be
    except tarfile.HeaderError as error:
      # `tarfile.open` then tries whether it is compressed otherwise.
      raise tarfile.ReadError(f'truncated or damaged: {error}') from error
    if member.type == tarfile.GNUTYPE_SPARSE:
      raise tarfile.TarError(f'{member.name[:80]!r} is sparse')
    if member.size < 0 or (
      member.type in _HEADERS and member.size > _MAX_HEADER
    ):
      raise tarfile.TarError(f'a header of {member.size} bytes')
    return member

  def _proc_gnusparse_10(self, member, *_):
    """Raises; tarfile would read a table of any length."""
    raise tarfile.TarError(f'{member.name[:80]!r} is sparse')

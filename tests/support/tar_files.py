"""Tar archives in memory."""

import io
import tarfile


def tar(members):
  """Returns the bytes of an archive of (name or TarInfo, content) pairs."""
  buffer = io.BytesIO()
  with tarfile.open(fileobj=buffer, mode='w') as archive:
    for member, content in members:
      if isinstance(member, str):
        member = tarfile.TarInfo(member)
      member.size = len(content)
      archive.addfile(member, io.BytesIO(content))
  return buffer.getvalue()

"""The files of a stranger's archive, a .tar or a .zip, from front to back."""

from collections.abc import Iterator
from typing import BinaryIO

from inception_jax.data import tar
from inception_jax.data import zip_index


def contents(
  file: BinaryIO, path: str, mode: str = 'r'
) -> Iterator[tuple[str, int, BinaryIO]]:
  """Yields the name, size and content of each file, to be read at once.

  Args:
    file: the archive.
    path: its path, for messages.
    mode: that of `tarfile.open`, for what is no .zip; 'r:' for a .tar alone.

  Raises: as `zip_index.files` and `tar.files`.
  """
  if mode == 'r' and zip_index.is_zip(file):
    yield from zip_index.files(file, path)
    return
  for member, content in tar.files(file, mode):
    yield member.name, member.size, content

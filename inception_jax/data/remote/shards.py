"""What is in the shards of a dataset in a bucket, each read once for that."""

from collections.abc import Callable
from collections.abc import Sequence
from concurrent import futures
import tempfile
from typing import BinaryIO

import tqdm

from inception_jax.data.remote.index import Table
from inception_jax.data.remote.mounts import Mounted

_BLOCK = 2**24  # bytes in memory, for each of
_AT_ONCE = 8


def tables(
  mounted: Mounted,
  kind: str,
  numbers: Sequence[int],
  make: Callable[[str], Table],
) -> list[Table | Exception]:
  """Returns what `make` says of each shard, given the path of a local copy.

  Or the OSError or ValueError that it raises. The index keeps what it says.

  Args:
    mounted: has the shards.
    kind: names what `make` does.
    numbers: of the shards.
    make: describes a shard.

  Raises:
    RunError: one cannot be read.
    UserError: the index lies in the bucket, and lacks some.
  """
  known = mounted.tables_of(kind)
  found: dict[int, Table | Exception] = dict(known)

  def described(number):
    with tempfile.NamedTemporaryFile() as file:
      _download(mounted, number, file)
      try:
        return make(file.name)
      except (OSError, ValueError) as error:
        return error

  if lacking := [number for number in numbers if number not in known]:
    mounted.check_complete()
    mounted.versions()
    with futures.ThreadPoolExecutor(_AT_ONCE) as pool:
      made = pool.map(described, lacking)
      made = tqdm.tqdm(made, f'indexing {mounted.url}', len(lacking))
      found.update(zip(lacking, made, strict=True))
    known.update({n: t for n, t in found.items() if isinstance(t, Table)})
    mounted.save()
  return [found[number] for number in numbers]


def _download(mounted: Mounted, number: int, file: BinaryIO) -> None:
  """Writes an object to a file, in blocks."""
  at, is_last = 0, False
  while not is_last:
    content = mounted.block(number, at, at + _BLOCK)
    if content is None:  # a whole block is not left, or nothing
      content, is_last = mounted.block(number, at, None) or b'', True
    file.write(content)
    at += _BLOCK
  file.flush()

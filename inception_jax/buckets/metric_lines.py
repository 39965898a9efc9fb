"""metrics.jsonl of a run in a bucket, to which several processes add lines.

An object cannot be appended to. The training writes the whole of its file, any
other process a part with the lines that it has added; a reader joins them.
"""

import os
import pathlib
import uuid

from inception_jax.buckets.bucket import Bucket

NAME = 'metrics.jsonl'
PART = f'{NAME}.part-'


class MetricLines:
  """A local file of lines, and the objects that it was joined from."""

  def __init__(self, bucket: Bucket, path: str):
    """Of the file `path`, which may not be there yet."""
    self._bucket, self._path = bucket, path
    self._contents: dict[str, bytes] = {}
    self._own, self._own_from = f'{PART}{uuid.uuid4().hex[:8]}', 0

  def read(self, names: list[str]) -> bytes | None:
    """Returns the lines of all objects that there are; None: they are known.

    `names` are those of the bucket. Once they are written to the local file,
    `publish` writes what is added there.
    """
    # Sorted: the training's own lines come first.
    names = [n for n in names if n == NAME or n.startswith(PART)]
    contents = {n: x.content for n, x in self._bucket.read_all(names)}
    if contents == self._contents:
      return None
    self._contents = contents
    lines = b''.join(contents.values())
    self._own_from = len(lines)
    return lines

  def publish(self) -> None:
    """Writes the lines that were added, as a part."""
    with open(self._path, 'rb') as file:
      file.seek(self._own_from)
      if new := file.read():
        self._contents[self._own] = self._contents.get(self._own, b'') + new
        self._bucket.write(self._own, self._contents[self._own])
        self._own_from = file.tell()

  def unite(self) -> None:
    """Writes the whole file, as the training's, and deletes its parts."""
    parts = [name for name in self._contents if name != NAME]
    found = dict(self._bucket.read_all(parts))
    if not found or not os.path.exists(self._path):
      return
    self._bucket.write(NAME, pathlib.Path(self._path).read_bytes())
    for name, part in found.items():
      # Not where lines were added since.
      if part.content == self._contents[name]:
        self._bucket.delete([name], part.version)

"""Datasets in buckets as folders: `mount` one, and a local path stands for it.

An index, of the names and versions of the objects and of what is in shards, is
made once: beside the data by tools.prepare, or else in a local cache. Whatever
is read is compared with the version in the index.
"""

from collections.abc import Sequence
import contextlib
import hashlib
import io
import logging
import os
import pathlib
from typing import BinaryIO

import numpy as np
import tqdm

from inception_jax import errors
from inception_jax import inputs
from inception_jax.buckets import runs
from inception_jax.buckets import urls
from inception_jax.buckets.bucket import Bucket
from inception_jax.buckets.bucket import Object
from inception_jax.data import virtual
from inception_jax.data.remote import checked
from inception_jax.data.remote import index as index_lib
from inception_jax.errors import RunError
from inception_jax.errors import UserError

log = logging.getLogger(__name__)

NAME = '.inception_jax.index'
_FOLDER = '.data'  # beside the runs; no bucket is called so
_RETRIES = 4  # of the first requests: a user waits
_RELISTED = 10_000  # names that are listed at each start
_COMPARED = 100  # versions that are compared at each start
_mounts: dict[str, 'Mounted'] = {}


class Mounted(virtual.Tree):
  """The objects below a URL as files.

  Attributes:
    url: in the bucket.
  """

  def __init__(self, url: str, fresh: bool = False):
    """Reads its index, unless `fresh`, or lists the objects.

    Raises:
      UserError: the bucket cannot be read, has nothing there, or an index of
        other objects.
    """
    super().__init__()
    scheme, _, rest = url.partition('://')
    try:
      parts = inputs.parts_inside(rest.rstrip('/'))
      self.url = f'{scheme}://{"/".join(parts)}'
    except ValueError as error:
      raise UserError(f'{url}: {error}') from error
    self._root = os.path.join(runs.folder(), _FOLDER)
    self.path = os.path.join(self._root, scheme, *parts)
    key = hashlib.sha256(self.url.encode()).hexdigest()[:16]
    self._cache = os.path.join(self._root, f'{key}.index')
    self._bucket = Bucket(self.url)
    try:
      self._is_published = False
      self._index = self._open(fresh)
    except RunError as error:
      reason = errors.one_line(error.__cause__ or error)
      raise UserError(f'{self.url} cannot be read: {reason}') from error
    if not self._index.names:
      raise UserError(f'{self.url} has no objects')
    self.sizes = np.full(len(self._index.names), -1)
    for number, name in enumerate(self._index.names):
      try:
        if name:
          self.add(name.split('/'), number)
        elif len(self._index.names) == 1:
          self._tree = number
      except ValueError as error:
        raise UserError(f'{self.url} has {error} at {name}') from error
    urls.stands_for(self.path, self.url)

  def _open(self, fresh: bool) -> index_lib.Index:
    hasty = Bucket(self.url, retries=_RETRIES)
    if not fresh and (published := hasty.read(NAME)):
      try:
        index = index_lib.unpack(published.content)
      except ValueError as error:
        raise UserError(f'{self.url}/{NAME}: {error}; {self._advice}') from None
      if changed := self._changed(index, hasty):
        raise UserError(f'{changed}; {self._advice}')
      self._is_published = True
      return index
    cached = None
    try:
      if not fresh:
        cached = index_lib.unpack(pathlib.Path(self._cache).read_bytes())
    except FileNotFoundError:
      pass
    except (OSError, ValueError) as error:
      log.warning('%s is made anew: %s', self._cache, error)
    if cached and not (changed := self._changed(cached, hasty)):
      log.info(
        '%s: %d objects, by %s', self.url, len(cached.names), self._cache
      )
      return cached
    if cached:
      log.info('%s; its index is made anew', changed)
    log.info('listing %s', self.url)
    return index_lib.Index(_names(hasty))

  @property
  def _advice(self) -> str:
    return (
      'python -m inception_jax.tools.prepare --index '
      f'--data_dir={self.url} --source=SOURCE makes its index anew'
    )

  def _changed(self, index: index_lib.Index, bucket: Bucket) -> str:
    """Returns what has changed since an index was made, as far as is seen."""
    if len(index.names) < _RELISTED or not index.versions:
      if differ := sorted({*_names(bucket)} ^ {*index.names}):
        return f'{self.url}/{differ[0]} is new or gone'
    step = -(-len(index.names) // _COMPARED) or 1
    known = dict(zip(index.names, index.versions, strict=False))
    for name, version in bucket.versions(index.names[::step]):
      if known.get(name, version) != version:
        return f'{self.url}/{name} has changed'
    return ''

  def versions(self) -> Sequence[bytes]:
    """Returns the versions of all objects; asks for them the first time."""
    if not self._index.versions:
      names = self._index.names
      found = self._bucket.versions(names)
      found = tqdm.tqdm(found, f'indexing {self.url}', len(names))
      self._index.versions = [version for _, version in found]
      self.save()
    return self._index.versions

  def name(self, number: int) -> str:
    """Returns the URL of an object."""
    return f'{self.url}/{self._index.names[number]}'.rstrip('/')

  def start(self, number: int, begin: int = 0, end: int | None = None):
    """Starts to read an object, or bytes of it; see `finish`."""
    return self._bucket.start(self._index.names[number], begin, end)

  def finish(self, number: int, started) -> bytes:
    """Returns what `start` reads.

    Raises:
      RunError: it cannot be read, or is another one than in the index.
    """
    try:
      found = self._bucket.finish(self._index.names[number], started)
    except EOFError as error:
      raise RunError(str(error)) from error
    return self._same(number, found)

  def block(self, number: int, begin: int, end: int | None) -> bytes | None:
    """Returns bytes of an object, or None if it has fewer."""
    name = self._index.names[number]
    try:
      found = self._bucket.finish(name, self._bucket.start(name, begin, end))
    except EOFError:
      return None
    return self._same(number, found)

  def _same(self, number: int, found: Object | None) -> bytes:
    if found and found.version == self.versions()[number]:
      return found.content
    what = 'has changed' if found else 'is gone'
    do = self._advice if self._is_published else 'the next start makes it anew'
    raise RunError(f'{self.name(number)} {what} since it was indexed; {do}')

  def read(self, number: int) -> bytes:
    """Returns the content of an object, or raises RunError."""
    return self.finish(number, self.start(number))

  def open_copy(self, number: int) -> BinaryIO:
    """Opens an object, of which the local cache gets a copy."""
    key = f'{self.name(number)}\0'.encode() + self.versions()[number]
    path = os.path.join(self._root, f'{hashlib.sha256(key).hexdigest()}.copy')
    content = None
    with contextlib.suppress(OSError, ValueError):  # then it is read again
      content = checked.read(path)
    if content is None:
      content = self.read(number)
      with contextlib.suppress(OSError):  # it is only a cache
        checked.write(path, checked.pack(content))
    return io.BytesIO(content)

  def tables_of(self, kind: str) -> dict[int, index_lib.Table]:
    """Returns what is known of shards, by number; `save` keeps changes."""
    return self._index.tables.setdefault(kind, {})

  def check_complete(self) -> None:
    """Raises UserError if the index lies in the bucket: it does not change."""
    if self._is_published:
      raise UserError(f'{self.url}/{NAME} is of another source; {self._advice}')

  def publish(self) -> None:
    """Writes the index beside the data."""
    self._bucket.write(NAME, self._index.pack())

  def save(self) -> None:
    """Writes the index to the local cache."""
    try:
      checked.write(self._cache, self._index.pack())
    except OSError as error:
      log.warning('%s: the index is not kept: %s', self.url, error)


def _names(bucket: Bucket) -> list[str]:
  return [name for name in bucket.names() if name != NAME]


def mount(url: str, fresh: bool = False) -> Mounted:
  """Returns the dataset at a URL, opened once by a process unless `fresh`.

  Raises:
    UserError: as `Mounted`.
  """
  url = url.rstrip('/')
  if fresh or url not in _mounts:
    _mounts[url] = Mounted(url, fresh)
  return _mounts[url]


def forget() -> None:
  """Forgets what is mounted, so that a bucket is looked at again."""
  _mounts.clear()


def of(path: str) -> tuple[Mounted, str] | None:
  """Returns what is mounted at a path or URL, and the path in it."""
  for mounted in _mounts.values():
    for start in (mounted.path, mounted.url):
      if path == start or path.startswith(f'{start}/'):
        return mounted, path[len(start) + 1 :]
  return None

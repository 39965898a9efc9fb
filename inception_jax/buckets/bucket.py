"""The objects below a URL of a bucket, by tensorstore.

  gs://BUCKET/PATH    Google's, with application default credentials
  s3://BUCKET/PATH    Amazon's, or at $AWS_ENDPOINT_URL that of another server

tensorstore repeats failed requests with growing delays. Emulators are reached
by $TENSORSTORE_GCS_HTTP_URL and $AWS_ENDPOINT_URL.
"""

import collections
from collections.abc import Callable
from collections.abc import Iterable
import os
from typing import Any
from typing import NamedTuple

from inception_jax import errors
from inception_jax import inputs
from inception_jax.errors import RunError
from inception_jax.errors import UserError

# In errors of tensorstore, for bytes behind the end of an object.
_TOO_SHORT = 'OUT_OF_RANGE'
DRIVERS = {'gs': 'gcs', 's3': 's3'}
RETRIES = 12
_DELAYS = {'initial_delay': '50ms', 'max_delay': '10s'}
# Objects in memory at once, and requests of all that a process reads.
_AT_ONCE, _REQUESTS = 8, 256


class Object(NamedTuple):
  """An object's content and the version that preconditions take."""

  content: bytes
  version: bytes


def is_url(path: str) -> bool:
  """Returns whether a path is in a bucket."""
  return path.partition('://')[0] in DRIVERS and '://' in path


class Bucket:
  """The objects whose names begin with those of a URL's path and a slash.

  Names are relative to the URL; '' is the object of the URL itself. All methods
  raise RunError where the store cannot be reached or refuses.
  """

  def __init__(self, url: str, retries: int = RETRIES):
    """Opens it without a request; failed ones are repeated `retries` times.

    Raises:
      UserError: it is no URL of a bucket.
    """
    import tensorstore as ts

    scheme, _, rest = url.partition('://')
    self.url = url.rstrip('/')
    bucket, _, path = rest.strip('/').partition('/')
    self._path = path.strip('/')
    driver, context = DRIVERS[scheme], ts.Context(_context(retries))
    spec = {'driver': driver, 'bucket': bucket, **_OPTIONS[scheme]()}
    try:
      self._store = ts.KvStore.open(spec, context=context).result()
    except ValueError as error:
      raise UserError(f'{url}: {errors.one_line(error)}') from error

  def names(self, prefix: str = '') -> list[str]:
    """Returns the names that begin with `prefix`, sorted; '' if it exists.

    Those that would lie outside of a folder, as `a/../../b`, are left out, and
    so are the empty objects that stand for folders.
    """
    import tensorstore as ts

    inside = f'{self._path}/' if self._path else ''
    start = f'{inside}{prefix}'.encode()
    # The end is behind all names with this prefix.
    keys = self._store.list(ts.KvStore.KeyRange(start, start + b'\xff'))
    names = (
      key.decode(errors='replace')[len(inside) :]
      for key in self._result(keys, prefix)
    )
    # A list of what begins with the path alone would have its neighbours, too.
    alone = bool(inside) and not prefix and self._is_object()
    return [''] * alone + sorted(filter(_is_inside, names))

  def read(self, name: str, unless: bytes = b'') -> Object | None:
    """Returns an object; None if there is none, or only version `unless`."""
    result = self._result(
      self._store.read(self._key(name), if_not_equal=unless or None), name
    )
    if result.state != 'value':
      return None
    return Object(result.value, result.stamp.generation)

  def read_all(self, names: Iterable[str]) -> Iterable[tuple[str, Object]]:
    """Yields those of these objects that exist, some read ahead."""
    yield from self._at_once(
      names, lambda name: self._store.read(self._key(name)), _object
    )

  def start(self, name: str, begin: int = 0, end: int | None = None) -> Any:
    """Starts to read an object, or bytes of it; see `finish`."""
    span = slice(begin, end) if begin or end is not None else None
    return self._store.read(self._key(name), byte_range=span)

  def finish(self, name: str, started: Any) -> Object | None:
    """Returns what `start` reads, once it is there; None: no such object.

    Raises:
      EOFError: the object has fewer bytes.
    """
    try:
      return _object(self._result(started, name))
    except RunError as error:
      if _TOO_SHORT in str(error.__cause__):
        raise EOFError(f'{self.url}/{name} is too short') from error
      raise

  def versions(self, names: Iterable[str]) -> Iterable[tuple[str, bytes]]:
    """Yields the version of each object; that of a missing one is one, too."""
    read = lambda name: self.start(name, end=0)
    yield from self._at_once(names, read, _generation, _REQUESTS)

  def version(self, name: str) -> bytes:
    """Returns an object's version; that of a missing one is a version, too."""
    return _generation(self._result(self.start(name, end=0), name))

  def write(self, name: str, content: bytes, version: bytes = b'') -> bytes:
    """Writes an object whole; returns its version.

    With `version`, only if that is still the object's: else returns b''.
    """
    write = self._store.write(
      self._key(name), content, if_equal=version or None
    )
    return self._result(write, name).generation

  def write_all(
    self, names: Iterable[str], read: Callable[[str], bytes | None]
  ) -> Iterable[str]:
    """Writes objects with the contents that `read` returns; yields names.

    Those for which it returns None are left out.
    """

    def start(name):
      content = read(name)
      if content is None:
        return None
      return self._store.write(self._key(name), content)

    found = self._at_once(names, start, _stamp)
    yield from (name for name, _ in found)

  def delete(self, names: Iterable[str], version: bytes = b'') -> None:
    """Deletes objects; with `version`, only if that is still theirs."""
    start = lambda name: self._store.write(
      self._key(name), None, if_equal=version or None
    )
    for _ in self._at_once(names, start, _stamp):
      pass

  def _at_once(
    self, names, start: Callable, convert: Callable, count: int = _AT_ONCE
  ):
    """Yields each name and its converted result, if any, in order."""
    pending = collections.deque()
    for name in names:
      if (started := start(name)) is not None:
        pending.append((name, started))
      if len(pending) == count:
        yield from self._finished(pending.popleft(), convert)
    for each in pending:
      yield from self._finished(each, convert)

  def _finished(self, started: tuple[str, Any], convert: Callable):
    name, future = started
    if value := convert(self._result(future, name)):
      yield name, value

  def _is_object(self) -> bool:
    return self._result(self.start('', end=0), '').state == 'value'

  def _key(self, name: str) -> str:
    if not name:
      return self._path
    return f'{self._path}/{name}' if self._path else name

  def _result(self, future, name: str):
    try:
      return future.result()
    except (ValueError, OSError, RuntimeError, KeyError) as error:
      where = f'{self.url}/{name}'.rstrip('/')
      raise RunError(f'{where}: {errors.one_line(error)}') from error


def _object(result) -> Object | None:
  if result.state != 'value':
    return None
  return Object(result.value, result.stamp.generation)


def _generation(result) -> bytes:
  return result.stamp.generation


def _stamp(stamp) -> bytes:
  return stamp.generation


def _is_inside(name: str) -> bool:
  try:
    return '/'.join(inputs.parts_inside(name)) == name
  except ValueError:
    return False


def _context(retries: int) -> dict[str, Any]:
  kinds = {
    'request_retries': {'max_retries': retries, **_DELAYS},
    'request_concurrency': {'limit': _REQUESTS},
  }
  return {f'{d}_{k}': v for d in DRIVERS.values() for k, v in kinds.items()}


def _amazon() -> dict[str, Any]:
  # The library logs an error for each of these files that is missing.
  for key, name in (
    ('AWS_CONFIG_FILE', '~/.aws/config'),
    ('AWS_SHARED_CREDENTIALS_FILE', '~/.aws/credentials'),
  ):
    if not os.path.exists(os.path.expanduser(name)):
      os.environ.setdefault(key, os.devnull)
  region = os.environ.get('AWS_REGION') or os.environ.get('AWS_DEFAULT_REGION')
  if url := os.environ.get('AWS_ENDPOINT_URL'):
    return {'endpoint': url, 'aws_region': region or 'us-east-1'}
  return {'aws_region': region} if region else {}


_OPTIONS = {'gs': dict, 's3': _amazon}

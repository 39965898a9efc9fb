"""The objects below a URL of a bucket, by tensorstore.

  gs://BUCKET/PATH    Google's, with application default credentials
  s3://BUCKET/PATH    Amazon's, or at $AWS_ENDPOINT_URL that of another server

tensorstore repeats failed requests with growing delays. Emulators are reached
by $TENSORSTORE_GCS_HTTP_URL and $AWS_ENDPOINT_URL.
"""

from collections.abc import Callable
from collections.abc import Iterable
import os
from typing import Any
from typing import NamedTuple

from inception_jax import errors
from inception_jax import inputs
from inception_jax.errors import RunError
from inception_jax.errors import UserError

DRIVERS = {'gs': 'gcs', 's3': 's3'}
_RETRIES = {'max_retries': 10, 'initial_delay': '200ms', 'max_delay': '10s'}
# Requests at once; each has an object in memory.
_AT_ONCE = 8


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

  def __init__(self, url: str):
    """Opens it without a request.

    Raises:
      UserError: it is no URL of a bucket.
    """
    import tensorstore as ts

    scheme, _, rest = url.partition('://')
    self.url = url.rstrip('/')
    bucket, _, path = rest.strip('/').partition('/')
    self._path = path.strip('/')
    spec = {'driver': DRIVERS[scheme], 'bucket': bucket, **_OPTIONS[scheme]()}
    try:
      self._store = ts.KvStore.open(spec).result()
    except ValueError as error:
      raise UserError(f'{url}: {errors.one_line(error)}') from error

  def names(self, prefix: str = '') -> list[str]:
    """Returns the names that begin with `prefix`, sorted; '' if it exists.

    Those that would lie outside of a folder, as `a/../../b`, are left out, and
    so are the empty objects that stand for folders.
    """
    import tensorstore as ts

    start = self._key(prefix)
    # The one behind all names with this prefix.
    end = start.encode() + b'\xff'
    keys = self._result(
      self._store.list(ts.KvStore.KeyRange(start.encode(), end)), prefix
    )
    skip = len(self._path) + 1 if self._path else 0
    names = (key.decode(errors='replace')[skip:] for key in keys)
    return sorted(name for name in names if name == '' or _is_inside(name))

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

  def range(self, name: str, start: int, end: int) -> bytes:
    """Returns bytes of an object; raises RunError where it has fewer."""
    read = self._store.read(self._key(name), byte_range=slice(start, end))
    content = self._result(read, name).value
    if len(content) != end - start:
      raise RunError(f'{self.url}/{name} has no bytes {start} to {end}')
    return content

  def version(self, name: str) -> bytes:
    """Returns an object's version; that of a missing one is a version, too."""
    return self._result(
      self._store.read(self._key(name)), name
    ).stamp.generation

  def write(self, name: str, content: bytes, version: bytes = b'') -> bytes:
    """Writes an object whole; returns its version.

    With `version`, only if that is still the object's: else returns b''.
    """
    write = self._store.write(
      self._key(name), content, if_equal=version or None
    )
    return self._result(write, name).generation

  def write_all(self, names: Iterable[str], read: Callable[[str], bytes]):
    """Writes objects with the contents that `read` returns; yields names."""
    found = self._at_once(
      names,
      lambda name: self._store.write(self._key(name), read(name)),
      lambda stamp: stamp.generation,
    )
    yield from (name for name, _ in found)

  def delete(self, names: Iterable[str], version: bytes = b'') -> None:
    """Deletes objects; with `version`, only if that is still theirs."""
    start = lambda name: self._store.write(
      self._key(name), None, if_equal=version or None
    )
    for _ in self._at_once(names, start, lambda stamp: stamp.generation):
      pass

  def _at_once(self, names, start: Callable, convert: Callable):
    """Yields each name and its converted result, if any, in order."""
    pending = []
    for name in names:
      pending.append((name, start(name)))
      if len(pending) == _AT_ONCE:
        yield from self._finished(pending.pop(0), convert)
    for each in pending:
      yield from self._finished(each, convert)

  def _finished(self, started: tuple[str, Any], convert: Callable):
    name, future = started
    if value := convert(self._result(future, name)):
      yield name, value

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


def _is_inside(name: str) -> bool:
  try:
    return '/'.join(inputs.parts_inside(name)) == name
  except ValueError:
    return False


def _google() -> dict[str, Any]:
  return {'context': {'gcs_request_retries': _RETRIES}}


def _amazon() -> dict[str, Any]:
  options = {'context': {'s3_request_retries': _RETRIES}}
  # The library logs an error for each of these files that is missing.
  for key, name in (
    ('AWS_CONFIG_FILE', '~/.aws/config'),
    ('AWS_SHARED_CREDENTIALS_FILE', '~/.aws/credentials'),
  ):
    if not os.path.exists(os.path.expanduser(name)):
      os.environ.setdefault(key, os.devnull)
  region = os.environ.get('AWS_REGION') or os.environ.get('AWS_DEFAULT_REGION')
  if url := os.environ.get('AWS_ENDPOINT_URL'):
    return options | {'endpoint': url, 'aws_region': region or 'us-east-1'}
  return options | ({'aws_region': region} if region else {})


_OPTIONS = {'gs': _google, 's3': _amazon}

"""Opens what is in a bucket as local paths: to read it, or to train in it."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import hashlib
import logging
import os
import pathlib
import shutil
import tempfile
import threading
import uuid

from inception_jax import inputs
from inception_jax.buckets import bucket
from inception_jax.buckets import mirror
from inception_jax.buckets.lease import RENEW
from inception_jax.buckets.lease import Lease
from inception_jax.buckets.mirror import Mirror
from inception_jax.errors import RunError
from inception_jax.errors import UserError

log = logging.getLogger(__name__)

# Local folders of runs in buckets; $INCEPTION_JAX_BUCKETS is another place.
FOLDER = '~/.cache/inception_jax/buckets'
PUBLISH = 15.0  # seconds between looks at what has changed
_opened: dict[str, Mirror] = {}
_temporary: list[str] = []


def folder() -> str:
  """Returns the folder of what is kept of buckets on this machine."""
  root = os.environ.get('INCEPTION_JAX_BUCKETS') or FOLDER
  return os.path.abspath(inputs.expand_home(root))


def local(path: str) -> str:
  """Returns a local path for one that may be in a bucket, read for a command.

  What the command changes there is written by `publish`.

  Raises:
    UserError: the bucket cannot be read.
  """
  if not bucket.is_url(path):
    return path
  if path not in _opened:
    folder = tempfile.mkdtemp(prefix='inception_jax-')
    _temporary.append(folder)
    name = _parts(path)[-1]
    opened = Mirror(path, os.path.join(folder, name))
    try:
      opened.download()
    except RunError as error:
      raise UserError(str(error)) from error
    _opened[path] = opened
  return _opened[path].path


def publish() -> None:
  """Writes what a command has changed in the paths that `local` returned.

  Raises:
    RunError: a bucket cannot be written.
  """
  for opened in _opened.values():
    opened.publish()


def close() -> None:
  """Removes the copies that `local` made."""
  _opened.clear()
  while _temporary:
    shutil.rmtree(_temporary.pop(), ignore_errors=True)


@contextlib.contextmanager
def training(url: str) -> Iterator[str]:
  """Locks a run in a bucket, and writes there what the block changes.

  Yields:
    Its local folder. That of an earlier start on this machine is used again if
    no other machine has trained since: it may be ahead of the bucket.

  Raises:
    UserError: another training uses it, or the bucket cannot be used.
    RunError: at the end, the bucket cannot be written.
  """
  opened = Mirror(url, _folder_of(url))
  try:
    opened.lease = Lease(opened.bucket)
  except RunError as error:
    raise UserError(str(error)) from error
  try:
    with _thread(RENEW, opened.lease.renew):
      _synchronize(opened)
      log.info(
        '%s is trained in a folder below %s, which is copied every %.0f '
        'seconds',
        *(url, folder(), PUBLISH),
      )
      try:
        with _thread(PUBLISH, lambda: _try_to_publish(opened)):
          yield opened.path
      finally:
        _publish_last(opened)
  finally:
    with contextlib.suppress(RunError):
      opened.lease.release()


def _synchronize(opened: Mirror) -> None:
  """Reads the bucket, or goes on with the local folder if that wrote last."""
  own = pathlib.Path(opened.path, '.mirror-id')
  identity = own.read_bytes() if own.exists() else b''
  writer = opened.bucket.read(mirror.WRITER)
  if identity and writer and writer.content == identity:
    opened.recall()
    if names := opened.publish():
      log.info('%d files had not been written to %s', len(names), opened.url)
  else:
    opened.clear()
    opened.download()
    # At last, and new each time: a folder that was not read to its end must
    # not be taken for the one that wrote last.
    identity = uuid.uuid4().hex.encode()
    own.write_bytes(identity)
    opened.bucket.write(mirror.WRITER, identity)
  opened.tidy()


@contextlib.contextmanager
def _thread(seconds: float, call: Callable[[], object]) -> Iterator[None]:
  """Calls in a thread every so many seconds until the block ends."""
  end = threading.Event()

  def repeat():
    while not end.wait(seconds):
      call()

  thread = threading.Thread(target=repeat, daemon=True)
  thread.start()
  try:
    yield
  finally:
    end.set()
    thread.join()


def _try_to_publish(opened: Mirror) -> None:
  try:
    opened.lease.check()
    opened.publish()
  except (RunError, OSError) as error:
    log.warning('%s; tried again in %.0f seconds', error, PUBLISH)


def _publish_last(opened: Mirror) -> None:
  opened.lease.check()
  try:
    opened.publish()
  except RunError as error:
    raise RunError(
      f'{error}; the local folder has the whole run: the same command, on '
      'this machine, writes it and goes on'
    ) from error


def _folder_of(url: str) -> str:
  """Returns the local folder of a run, which lies in no other run's."""
  *_, name = _parts(url)
  digest = hashlib.sha256(url.rstrip('/').encode()).hexdigest()[:16]
  return os.path.join(folder(), digest, name)


def _parts(url: str) -> tuple[str, ...]:
  """Returns the folders of a URL, from the bucket on.

  Raises:
    UserError: it has others than names, such as `..`.
  """
  try:
    return inputs.parts_inside(url.partition('://')[2].rstrip('/'))
  except ValueError as error:
    raise UserError(f'{url}: {error}') from error

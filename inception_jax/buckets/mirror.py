"""Local copies of folders in buckets, and what is written to them.

A run in a bucket is trained in a local folder, whose files become objects once
they are whole: a checkpoint's marker comes last, and is deleted first. So the
bucket always has a run that can be resumed, a copy of it is a local run, and
training does not wait for a network.
"""

from collections.abc import Iterator
import contextlib
import json
import os
import pathlib
import shutil

from inception_jax import inputs
from inception_jax.buckets import lease
from inception_jax.buckets import metric_lines
from inception_jax.buckets import run_files
from inception_jax.buckets import urls
from inception_jax.buckets.bucket import Bucket
from inception_jax.buckets.metric_lines import MetricLines
from inception_jax.errors import UserError

_STATE = '.mirror.json'
# Which local folder has written last: it may have more than the bucket.
WRITER = '.writer'
_OWN = (lease.NAME, WRITER, metric_lines.NAME)
_open: dict[str, 'Mirror'] = {}


class Mirror:
  """A local folder, or file, and the objects of a URL.

  Attributes:
    url: in the bucket.
    path: the local path that stands for it.
    bucket: the objects.
    lease: the lock of the training that writes there; None if it only reads,
      or adds files and lines of its own.
  """

  def __init__(self, url: str, path: str):
    """Makes the folder that will have it; reads nothing yet."""
    self.url, self.path = url.rstrip('/'), os.path.abspath(path)
    self.bucket, self.lease = Bucket(url), None
    # As it was when file and object were the same: size and time of change.
    self._same: dict[str, list[int]] = {}
    self._versions: dict[str, bytes] = {}
    self._lines = MetricLines(self.bucket, self._local(metric_lines.NAME))
    os.makedirs(os.path.dirname(self.path), exist_ok=True)
    _open[self.path] = self
    urls.stands_for(self.path, self.url)

  def download(self) -> None:
    """Writes what a command may need, but not the large files of `_LATER`.

    And what has changed since the last time.

    Raises:
      RunError: the bucket cannot be read.
      UserError: an object has the name of a folder of others.
    """
    names = self.bucket.names()
    if '' in names:  # a single object
      self._write('', self.bucket.read('').content)
      return
    self._remove({*self._versions} - {*names})
    changed = [
      name
      for name, version in self.bucket.versions(self._versions)
      if version != self._versions[name]
    ]
    skipped = {*run_files.incomplete(names), *self._versions}
    new = [
      n
      for n in names
      if n not in skipped and not _is_own(n) and run_files.is_read_first(n)
    ]
    for name, found in self.bucket.read_all(changed + new):
      self._write(name, found.content)
      self._versions[name] = found.version
    if (lines := self._lines.read(names)) is not None:
      self._write(metric_lines.NAME, lines)

  def tidy(self) -> None:
    """Deletes incomplete checkpoints and unites the lines of metrics.

    For the process that holds the lease, when its copy is the bucket's.
    """
    self.bucket.delete(run_files.incomplete(self.bucket.names()))
    self._lines.unite()

  def fetch(self, path: str) -> None:
    """Writes all that the bucket has in a folder and the local one lacks."""
    prefix = os.path.relpath(path, self.path)
    names = self.bucket.names(f'{prefix}/')
    lacking = [n for n in names if not os.path.lexists(self._local(n))]
    for name, found in self.bucket.read_all(lacking):
      self._write(name, found.content)

  def publish(self) -> list[str]:
    """Writes what has changed to the bucket, deletes what has vanished.

    Returns:
      The names that were written.

    Raises:
      RunError: the bucket cannot be written; what was written counts.
    """
    now = dict(self._files())
    if not self.lease and now.pop(metric_lines.NAME, None):
      self._lines.publish()
    changed = [n for n, x in now.items() if self._same.get(n) != x]
    changed.sort(key=lambda n: (os.path.basename(n) == run_files.MARKER, n))
    written = []
    for group in (False, True):  # those of a checkpoint, then its marker
      names = [n for n in changed if group == n.endswith(run_files.MARKER)]
      for name in self.bucket.write_all(names, self._content):
        self._same[name] = now[name]
        written.append(name)
    vanished = [
      n for n in self._same if n not in now and n != metric_lines.NAME
    ]
    for folder in sorted(
      os.path.dirname(n) for n in vanished if n.endswith(run_files.MARKER)
    ):
      self.bucket.delete([f'{folder}/{run_files.MARKER}'])
      self.bucket.delete(self.bucket.names(f'{folder}/'))
    self.bucket.delete(vanished)
    for name in vanished:
      del self._same[name]
    if written or vanished:
      self._save()
    return written

  @contextlib.contextmanager
  def locked(self) -> Iterator[None]:
    """Locks the run in the bucket, if it is not, and publishes at the end."""
    if self.lease:
      yield
      return
    self.lease = lease.Lease(self.bucket)
    try:
      yield
      self.publish()
    finally:
      self.lease.release()
      self.lease = None

  def _remove(self, names: set[str]) -> None:
    """Removes the local files of objects that are gone."""
    for name in names:
      self._same.pop(name, None)
      del self._versions[name]
      with contextlib.suppress(FileNotFoundError):
        if name.endswith(run_files.MARKER):
          shutil.rmtree(os.path.dirname(self._local(name)))
        else:
          os.remove(self._local(name))

  def _local(self, name: str) -> str:
    return os.path.join(self.path, name) if name else self.path

  def _write(self, name: str, content: bytes) -> None:
    path = self._local(name)
    try:
      os.makedirs(os.path.dirname(path), exist_ok=True)
      _replace(path, content)
    except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
      raise UserError(
        f'{self.url} has both an object and a folder at {name}'
      ) from error
    self._same[name] = _stat(path)

  def _content(self, name: str) -> bytes | None:
    try:
      content = pathlib.Path(self._local(name)).read_bytes()
    except FileNotFoundError:  # the training has removed it since
      return None
    if name.endswith('.jsonl'):  # a line may be half written
      content = content[: content.rfind(b'\n') + 1]
    return content

  def _files(self) -> Iterator[tuple[str, list[int]]]:
    """Yields the name of each whole file, and its size and time of change."""
    if os.path.isfile(self.path):
      yield '', _stat(self.path)
    for folder, folders, names in os.walk(self.path):
      folders[:] = [f for f in folders if not run_files.is_unfinished(f)]
      for name in names:
        path = os.path.join(folder, name)
        if not run_files.is_unfinished(name) and os.path.isfile(path):
          with contextlib.suppress(FileNotFoundError):
            yield os.path.relpath(path, self.path), _stat(path)

  def _save(self) -> None:
    """Remembers across processes what is the same in the bucket."""
    if os.path.isdir(self.path):
      _replace(self._local(_STATE), json.dumps(self._same).encode())

  def recall(self) -> None:
    """Reads what `_save` wrote; without it, all is written anew."""
    with contextlib.suppress(OSError, ValueError):
      text = pathlib.Path(self._local(_STATE)).read_bytes()
      found = inputs.parse_json(text)
      if isinstance(found, dict):
        self._same = found

  def clear(self) -> None:
    """Removes the local files."""
    shutil.rmtree(self.path, ignore_errors=True)
    os.makedirs(self.path, exist_ok=True)


def of(path: str) -> Mirror | None:
  """Returns the open mirror that a local path lies in."""
  path = os.path.abspath(path)
  for root, mirror in _open.items():
    if path == root or path.startswith(f'{root}/'):
      return mirror
  return None


def fetch(path: str) -> None:
  """Reads a folder from the bucket, where it is a part of a mirror."""
  if mirror := of(path):
    mirror.fetch(path)


def refresh(path: str) -> None:
  """Reads what has changed in the bucket, where a path is in a mirror."""
  if mirror := of(path):
    mirror.download()


def _is_own(name: str) -> bool:
  return name in _OWN or name.startswith(metric_lines.PART)


def _replace(path: str, content: bytes) -> None:
  unfinished = f'{path}.unfinished'
  pathlib.Path(unfinished).write_bytes(content)
  os.replace(unfinished, path)


def _stat(path: str) -> list[int]:
  stat = os.stat(path)
  return [stat.st_size, stat.st_mtime_ns]

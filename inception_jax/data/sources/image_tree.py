"""Finds the image files below a folder, and says what it leaves out."""

import collections
from collections.abc import Iterator
import functools
import itertools
import logging
import os

from inception_jax import errors
from inception_jax.data import places
from inception_jax.runtime import files

log = logging.getLogger(__name__)

# Those that a SavedModel reads, too.
EVERYWHERE = '.jpg', '.jpeg', '.jpe', '.jfif', '.png', '.webp', '.bmp', '.gif'
# Those that Pillow decodes, with the name of what its build may lack.
_BY_PILLOW = {
  '.tif': '',
  '.tiff': '',
  '.jp2': 'jpg_2000',
  '.j2k': 'jpg_2000',
  '.avif': 'avif',
}
# Images that no decoder here reads.
_UNREAD = (
  *('.heic', '.heif', '.jxl', '.psd', '.raw', '.svg', '.cr2', '.dng'),
  *('.nef', '.pgm', '.ppm', '.tga', *_BY_PILLOW),
)
# Folders that macOS, Windows, network storage and file systems make. Others
# begin with a dot, as thumbnails and the checkpoints of notebooks.
_FOREIGN = ('__macosx', '@eadir', '$recycle.bin', 'lost+found')
_FOREIGN += ('system volume information',)
_MOST_KINDS = 8
_MOST_TRIED = 5


def _is_hidden(name: str) -> bool:
  """Returns whether a file or folder is one that people did not put there."""
  return name.startswith('.') or name.lower() in _FOREIGN


@functools.cache
def suffixes() -> tuple[str, ...]:
  """Returns the endings of images that this installation reads."""
  by_pillow = (x for x, part in _BY_PILLOW.items() if _has(part))
  return *EVERYWHERE, *by_pillow


def _has(part: str) -> bool:
  from PIL import features

  return not part or features.check(part)


class ImageTree:
  """Lists images below folders, and remembers what it leaves out.

  Attributes:
    unreadable: a line for each folder that cannot be listed.
  """

  def __init__(self):
    self.unreadable: list[str] = []
    self._counts = collections.Counter()
    self._examples: dict[str, str] = {}

  def subfolders(self, folder: str) -> list[str]:
    """Returns the sorted names of the folders in one that are not hidden."""
    kept = []
    for entry in self._scan(folder):
      if files.kind(entry) == 'folder':
        kept.append(entry.name)
      else:
        self._leave_out(_suffix(entry.name), entry.path)
    return kept

  def images(self, folder: str) -> Iterator[os.DirEntry]:
    """Yields the images in a folder and below it, sorted within each folder."""
    seen, ahead = set(), [folder]
    while ahead:
      where = ahead.pop()
      # A symbolic link to a parent folder would be followed without end.
      if (real := os.path.realpath(where)) in seen:
        continue
      seen.add(real)
      folders = []
      for entry in self._scan(where):
        if files.kind(entry) == 'folder':
          folders.append(entry.path)
        elif entry.name.lower().endswith(suffixes()):
          yield entry
        else:
          self._leave_out(_suffix(entry.name), entry.path)
      ahead += reversed(folders)

  def nearest_image(self, folder: str) -> str:
    """Returns an image in a folder, or in one that is in it; '' for none."""
    entries = self._scan(folder)
    inner = [entry for entry in entries if files.kind(entry) == 'folder']
    below = (self._scan(entry.path) for entry in inner[:_MOST_TRIED])
    for entry in itertools.chain(entries, itertools.chain.from_iterable(below)):
      if entry.name.lower().endswith(suffixes()):
        return entry.path
    return ''

  def log_left_out(self) -> None:
    """Logs in one line how many files of which kind were left out, if any."""
    if not self._counts:
      return
    kinds = [
      f'{count} {kind} ({errors.printable(self._examples[kind], 200)})'
      for kind, count in self._counts.most_common(_MOST_KINDS)
    ]
    if (more := len(self._counts) - len(kinds)) > 0:
      kinds.append(f'{more} other kinds')
    log.warning('left out: %s', ', '.join(kinds))
    if unread := sorted(set(self._counts) & set(_UNREAD)):
      log.warning(
        'images that are not read: %s; convert them to JPEG or PNG to use them',
        ', '.join(unread),
      )

  def _scan(self, folder: str) -> list[os.DirEntry]:
    """Returns what is in a folder, sorted, but for what is hidden."""
    try:
      entries = sorted(places.scan(folder), key=lambda entry: entry.name)
    except OSError as error:
      self.unreadable.append(f'{folder} cannot be read: {error.strerror}')
      return []
    for entry in entries:
      if _is_hidden(entry.name):
        self._leave_out('hidden', entry.path)
    return [entry for entry in entries if not _is_hidden(entry.name)]

  def _leave_out(self, kind: str, path: str) -> None:
    self._counts[kind] += 1
    self._examples.setdefault(kind, path)


def _suffix(name: str) -> str:
  """Returns a name's suffix in lower case, or 'without a suffix'."""
  return os.path.splitext(name)[1].lower() or 'without a suffix'

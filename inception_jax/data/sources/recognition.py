"""What lies in `data.dir`: for data.source='auto', and for messages.

Each source recognizes its own files, from names and the first few of them.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import os
import re
from typing import NamedTuple

from inception_jax import errors
from inception_jax import inputs
from inception_jax.data import places

AUTO = 'auto'
MINDRECORD = (
  'MindRecord files are not read; write their images into class folders with '
  "mindspore's FileReader (docs/migration.md has the program), and read "
  'these with --config.data.source=folder'
)
# The data, in one file or several, and the index of each.
_MINDRECORD_NAME = re.compile(r'.*\.mindrecord\d*(\.db)?')
_ARCHIVES = ('.zip', '.tar', '.tar.gz', '.tgz')
_MOST_ARCHIVES = 4
_MOST_NAMES = 8
_MOST_ENTRIES = 500  # of a folder in which a source looks further


class Found(NamedTuple):
  """A dataset.

  Attributes:
    source: the `data.source` that reads it.
    dir: the `data.dir` for that.
    why: what of it was seen, such as 'data_batch_1'.
  """

  source: str
  dir: str
  why: str


Recognizer = Callable[[str], Iterator[Found]]


def find(
  recognizers: Iterable[Recognizer], data_dir: str
) -> tuple[list[Found], list[str]]:
  """Returns what is in a folder, or else in the archives in it, or in a file.

  And a line for each reason why something cannot be read.
  """
  if not data_dir or '://' in data_dir:  # that of tfds
    return [], []
  recognizers, faults = list(recognizers), []

  def look(path: str) -> list[Found]:
    found = []
    for recognize in recognizers:
      try:
        for one in recognize(path):
          found.append(one._replace(why=_below(path, one.why)))
      except errors.UserError as error:
        faults.extend(error.faults)
      except OSError as error:
        faults.append(f'{path} cannot be read: {error.strerror}')
    return found

  path = inputs.expand_home(data_dir)
  found = look(path)
  if not found and places.is_unpacked(path):
    entries = sorted(places.scan(path), key=lambda entry: entry.name)
    for entry in entries[:_MOST_ENTRIES]:
      if entry.name.lower().endswith(_ARCHIVES) and entry.is_file():
        found += look(entry.path)
      if len(found) == _MOST_ARCHIVES:
        break
  return found, list(dict.fromkeys(faults))


def _below(folder: str, text: str) -> str:
  """Returns the text with paths below the folder relative to it."""
  for prefix in (os.path.abspath(folder), folder):
    if f'{prefix}/' in text:
      return text.replace(f'{prefix}/', '')
  return text


def only(recognizers: dict[str, Recognizer], data_dir: str) -> Found:
  """Returns the one dataset in a folder or file.

  Args:
    recognizers: by the name of their source.
    data_dir: `data.dir`.

  Raises:
    UserError: there is none, or more than one.
  """
  start = f'data.source={AUTO!r}'
  if not data_dir:
    raise errors.UserError(f'{start}: data.dir is missing, in which to look')
  found, faults = find(recognizers.values(), data_dir)
  if len(found) == 1:
    return found[0]
  if found:
    raise errors.UserError(
      f'{start}: {data_dir} has several datasets; choose one:',
      *(f'  {_flags(one, data_dir)}, for {one.why}' for one in found),
    )
  path = inputs.expand_home(data_dir)
  raise errors.UserError(
    f'{start}: no dataset is recognized in {data_dir}, {_contents(path)}; '
    f'expected what is read as {", ".join(recognizers)}',
    *faults,
    *_not_read(path),
  )


def other_flags(
  recognizers: Iterable[Recognizer], source: str, data_dir: str
) -> list[str]:
  """Returns a line for each dataset there that another source reads.

  If there is none, for files that none reads.
  """
  try:
    found, _ = find(recognizers, data_dir)
    path = inputs.expand_home(data_dir)
  except errors.UserError:
    return []
  if any(one.source == source and _same(one.dir, path) for one in found):
    return []
  lines = [
    f'{data_dir} has {one.why}: {_flags(one, data_dir)} reads it'
    for one in found
  ]
  return lines or _not_read(path)


def _not_read(path: str) -> list[str]:
  """Returns a line if the files there can be converted, but not read."""
  try:
    is_folder = places.is_unpacked(path)
    names = [e.name for e in places.scan(path)] if is_folder else [path]
  except OSError:
    return []
  found = sorted(filter(_MINDRECORD_NAME.fullmatch, names))[:1]
  return [f'{os.path.basename(name)}: {MINDRECORD}' for name in found]


def _flags(found: Found, data_dir: str) -> str:
  flags = f'--config.data.source={found.source}'
  if not _same(found.dir, inputs.expand_home(data_dir)):
    flags += f' --config.data.dir={found.dir}'
  return flags


def _same(path: str, other: str) -> bool:
  return os.path.realpath(path) == os.path.realpath(other)


def _contents(path: str) -> str:
  try:
    if not places.exists(path):
      return 'which does not exist'
    names = sorted(entry.name for entry in places.scan(path)) or ['nothing']
  except (OSError, errors.UserError):  # said elsewhere if it is an archive
    return 'a file'
  return f'which has {", ".join(errors.shorten(names, _MOST_NAMES))}'


def folders(path: str) -> list[str]:
  """Returns the folders in one, sorted; none if it has very many entries."""
  if places.within(path):
    entries = places.scan(path)
    if len(entries) > _MOST_ENTRIES:
      return []
    return sorted(entry.path for entry in entries if entry.is_dir())
  entries = []
  with os.scandir(path) as all_entries:
    for entry in all_entries:
      entries.append(entry)
      if len(entries) > _MOST_ENTRIES:
        return []
  return sorted(entry.path for entry in entries if entry.is_dir())

"""Which shards of a folder hold which split of a WebDataset; their files."""

from collections.abc import Iterator
import itertools
import os
import pathlib
import re

from inception_jax import errors
from inception_jax import inputs
from inception_jax.data import places
from inception_jax.data import tar

# timm's list of the shards of each split.
_INFO = ('_info.json', 'info.json')
_NUMBERED = re.compile(r'(?P<stem>.*?)(?P<number>\d+)(?P<end>(-of-\d+)?\.tar)')
_BRACES = re.compile(r'\{([^{}]*)\}')
_RANGE = re.compile(r'(\d{1,9})\.\.(\d{1,9})')
_MOST_SHARDS = 100_000
_MOST_BYTES = 2**26


def find(root: pathlib.Path, split: str) -> list[str]:
  """Returns the shards of a split, which may not exist.

  Args:
    root: the folder.
    split: a pattern, 'a-{000..127}.tar'; or a name that timm's list, a folder
      of shards, or the shards have: 'imagenet-train-0000.tar'.

  Raises:
    UserError: a list of shards names files elsewhere.
    OSError: a folder cannot be listed.
  """
  if split.endswith('.tar'):
    return [str(root / name) for name in expand(split)]
  if listed := _listed(root).get(split):
    return [str(root / name) for name in listed]
  own = re.compile(
    rf'(.*[-_.])?{re.escape(split)}([-_.]?\d+)?(-of-\d+)?\.tar', re.DOTALL
  )
  names = [name for name in _tars(root) if own.fullmatch(name)]
  folder = root
  if (
    not names
    and split not in ('', '.', '..')
    and places.is_folder(root / split)
  ):
    folder = root / split
    names = _tars(folder)
  return [str(folder / name) for name in names + _between(names)]


def shards(root: pathlib.Path) -> list[str]:
  """Returns all shards in a folder, and those that lie between them."""
  names = _tars(root)
  return [str(root / name) for name in names + _between(names)]


def missing(paths: list[str]) -> list[str]:
  """Returns a line for each missing shard."""
  return errors.shorten(
    [
      f'{os.path.dirname(path)} lacks {os.path.basename(path)}'
      for path in paths
      if not (places.exists(path) or os.path.islink(path))
    ]
  )


def expand(pattern: str) -> list[str]:
  """Returns what a pattern with braces stands for, as in a shell.

  'a-{000..127}.tar' and 'a-{1,4}.tar' are such patterns.

  Raises:
    UserError: more than 100,000 names.
  """
  parts = [
    _choices(part) if i % 2 else [part]
    for i, part in enumerate(_BRACES.split(pattern))
  ]
  names = list(
    itertools.islice(itertools.product(*parts), _MOST_SHARDS + 1),
  )
  if len(names) > _MOST_SHARDS:
    raise errors.UserError(f'{pattern}: more than {_MOST_SHARDS} files')
  return list(map(''.join, names))


def _tars(folder: pathlib.Path) -> list[str]:
  # macOS adds ._NAME.tar to shared disks.
  return sorted(
    entry.name
    for entry in places.scan(str(folder))
    if entry.name.endswith('.tar') and not entry.name.startswith('.')
  )


def nearest(root: pathlib.Path) -> list[str]:
  """Returns the shards in a folder, or else in the first one in it with any."""
  if names := _tars(root):
    return [str(root / name) for name in names]
  folders = sorted(e.name for e in places.scan(str(root)) if e.is_dir())
  for folder in folders:
    if names := _tars(root / folder):
      return [str(root / folder / name) for name in names]
  return []


def _choices(inside: str) -> list[str]:
  """Returns what one pair of braces stands for."""
  if not (match := _RANGE.fullmatch(inside)):
    return inside.split(',') if ',' in inside else [f'{{{inside}}}']
  first, last = map(int, match.groups())
  width = max(map(len, match.groups())) if match[1].startswith('0') else 0
  last = min(last, first + _MOST_SHARDS)
  return [f'{number:0{width}}' for number in range(first, last + 1)]


def _listed(root: pathlib.Path) -> dict[str, list[str]]:
  """Returns the shards of each split in timm's list; {} without one."""
  path = next((root / x for x in _INFO if places.exists(root / x)), None)
  if not path:
    return {}
  try:
    with places.open_file(str(path)) as file:
      info = inputs.parse_json(file.read(_MOST_BYTES))
    # A list of other things, with other keys, is none of timm's.
    found = {k: v['filenames'] for k, v in info.get('splits', {}).items()}
    names = [name for names in found.values() for name in names]
    wrong = [x for x in names if os.path.isabs(x) or '..' in x.split('/')]
  except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
    raise errors.UserError(
      f'{path} cannot be read: {errors.one_line(error)}'
    ) from error
  if wrong:
    raise errors.UserError(
      *errors.shorten([f'{path} names a file elsewhere: {x}' for x in wrong])
    )
  return found


def _between(names: list[str]) -> list[str]:
  """Returns the names that are missing from numbered ones."""
  numbers: dict[tuple[str, str], list[str]] = {}
  for name in names:
    if match := _NUMBERED.fullmatch(name):
      key = match['stem'], match['end']
      numbers.setdefault(key, []).append(match['number'])
  lacking = []
  for (stem, end), known in numbers.items():
    values = {int(number) for number in known}
    width = len(known[0]) if any(x.startswith('0') for x in known) else 0
    if max(values) - min(values) < _MOST_SHARDS:
      lacking += [
        f'{stem}{number:0{width}}{end}'
        for number in range(min(values), max(values))
        if number not in values
      ]
  return lacking


def members(file) -> Iterator[tuple[str, int, int]]:
  """Yields name, offset and size of each file, or raises ValueError."""
  try:
    for member, _ in tar.files(file, 'r:'):
      yield member.name, member.offset_data, member.size
  except Exception as error:  # from tarfile and every module below it
    reason = errors.one_line(error)
    raise ValueError(f'not a whole, uncompressed .tar: {reason}') from error

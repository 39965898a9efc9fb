"""Paths, numbers and JSON from outside, of any length and depth."""

from collections.abc import Iterable
import itertools
import json
import os
from typing import Any

from inception_jax.errors import UserError

# JSON nested deeper is nobody's data, and exhausts the stack of its readers.
_MOST_LEVELS = 50
_MAX_DEPTH = 32  # folders in each other


def expand_home(path: str) -> str:
  """Returns a path with a leading `~` or `~USER` replaced by that home folder.

  And without `..` behind a link: orbax would drop both, and go elsewhere than
  the system does.

  Raises:
    UserError: there is no such folder.
  """
  if not path.startswith('~'):
    return _without_parents(path)
  home = path.partition('/')[0]
  folder = os.path.expanduser(home)  # unchanged where it is not known
  if not (os.path.isabs(folder) and os.path.isdir(folder)):
    raise UserError(
      f'{path}: {home} is no folder (is HOME set?); give the whole path, or '
      f'./{home} for a folder of this name'
    )
  return _without_parents(os.path.expanduser(path))


def check_url(path: str) -> None:
  """Checks that a path is local, or in a bucket.

  Raises:
    UserError: it is another URL; with what is possible.
  """
  scheme, is_url, _ = path.partition('://')
  if is_url and scheme not in ('gs', 's3'):
    raise UserError(
      f'{path}: expected a local path, gs://BUCKET/PATH or s3://BUCKET/PATH, '
      f'not {scheme}://; obs:// and other stores that speak the protocol of S3 '
      'are s3:// with AWS_ENDPOINT_URL; else copy it to a local folder'
    )


def _without_parents(path: str) -> str:
  parts = [part for part in path.split('/') if part not in ('', '.')]
  # No link precedes leading ones.
  rest = itertools.dropwhile(lambda part: part == '..', parts)
  if '..' not in rest or '://' in path:
    return path
  return os.path.realpath(path)


def parts_inside(name: str) -> tuple[str, ...]:
  """Returns the folders and the name of a file in an archive.

  Stricter than tarfile.data_filter, which strips a leading slash and allows
  '..' that stays inside.

  Raises:
    ValueError: it would lie outside, or has no name.
  """
  parts = tuple(part for part in name.split('/') if part not in ('', '.'))
  if (
    os.path.basename(name) in ('', '.')
    or name.startswith('/')
    or '..' in parts
    or '\0' in name
    or len(parts) > _MAX_DEPTH
  ):
    raise ValueError(f'{name[:80]!r} lies outside of the archive')
  return parts


def parse_number(text: str) -> int | None:
  """Returns the number of at most 20 decimal digits; None for other text."""
  is_number = len(text) <= 20 and text.isascii() and text.isdecimal()
  return int(text) if is_number else None


def sort_classes(names: Iterable[str]) -> list[str]:
  """Returns names of classes sorted; as numbers if all are decimal numbers."""
  names = sorted(names)
  if None in (numbers := [parse_number(name) for name in names]):
    return names
  return [name for _, name in sorted(zip(numbers, names, strict=True))]


def parse_json(text: str | bytes) -> Any:
  """Parses JSON from outside.

  Raises:
    ValueError: it is not JSON, not UTF-8, or nested too deeply.
  """
  try:
    level = [values := json.loads(text)]
  except RecursionError:
    raise ValueError('nested too deeply') from None
  for _ in range(_MOST_LEVELS):
    level = [
      inner
      for outer in level
      if isinstance(outer, list | dict)
      for inner in (outer.values() if isinstance(outer, dict) else outer)
    ]
  if level:
    raise ValueError('nested too deeply')
  return values

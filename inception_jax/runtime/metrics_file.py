"""Reads, checks and repairs `metrics.jsonl`; imports no JAX, no TensorFlow.

A line is a JSON object of a step, its split, and numbers. It has a checksum,
since a digit with a flipped bit may be another digit.
"""

from collections.abc import Iterator
import json
import logging
import zlib

from etils import epath

from inception_jax import errors
from inception_jax import inputs
from inception_jax.config import serialization
from inception_jax.runtime import files

log = logging.getLogger(__name__)

NAME = 'metrics.jsonl'
DAMAGED = f'{NAME}.damaged'
EVAL = 'eval'
SCORES = ('loss', 'top1', 'top5', 'count')
_CHECKSUM = 'crc32'
# More than any float32; a difference of two is a float, too.
_MOST = 1e100
_LAST_STEP = 2**53
# Not in the checksum, so that a repeated step has the same one.
TIMES = (
  'images_per_sec',
  'eval_images_per_sec',
  'ms_per_step',
  'sec_per_epoch',
  'data_wait',
  'goodput',
)


def append(path: epath.Path, step: int, split: str, values: dict) -> None:
  """Appends a line of numbers; non-finite ones become null."""
  values = {'step': step, 'split': split, **values}
  values = serialization.nan_to_none(values)
  with path.open('a') as file:
    file.write(json.dumps({**values, _CHECKSUM: _checksum(values)}) + '\n')


def _checksum(values: dict) -> str:
  values = {key: x for key, x in values.items() if key not in TIMES}
  text = json.dumps(values, sort_keys=True)
  return f'{zlib.crc32(text.encode()):08x}'


def parse(path: epath.Path) -> dict[tuple[int, str], dict]:
  """Returns the values of each sound line by (step, split); later lines win."""
  return {
    (values['step'], values['split']): values
    for _, values, _ in _lines(path)
    if values
  }


def read(workdir: str) -> list[dict]:
  """Returns the values of each step and split, by step; logs damaged lines."""
  path = epath.Path(workdir) / NAME
  log_damage(path)
  return sorted(parse(path).values(), key=lambda values: values['step'])


def log_damage(path: epath.Path, what_now: str = '') -> list[int]:
  """Logs each damaged line and why; returns their numbers, from 1."""
  damaged = {number: why for number, values, why in _lines(path) if not values}
  lines = [
    f'{path}, line {number}, is damaged{what_now}: {why}'
    for number, why in damaged.items()
  ]
  for line in errors.shorten(lines):
    log.warning('%s', line)
  return list(damaged)


def end_last_line(path: epath.Path) -> None:
  """Ends a line that a killed process left unfinished."""
  if _read(path)[-1:] not in (b'', b'\n'):
    with path.open('a') as file:
      file.write('\n')


def repair(path: epath.Path, evaluations: dict[int, dict]) -> None:
  """Moves damaged lines to metrics.jsonl.damaged, and adds missing scores.

  No other process may write to the file.

  Args:
    path: of metrics.jsonl.
    evaluations: the scores in each checkpoint's record, by step; {} for none.
  """
  end_last_line(path)
  aside = path.with_name(DAMAGED)
  if damaged := log_damage(path, f' and moved to {aside}'):
    lines = dict(enumerate(_read(path).split(b'\n'), 1))
    with aside.open('ab') as file:
      file.writelines(lines.pop(number) + b'\n' for number in damaged)
    files.atomic_write(path, b'\n'.join(lines.values()))
  written = parse(path)
  for step, scores in evaluations.items():
    if scores and (step, EVAL) not in written:
      log.warning('%s lacked the scores of step %d: added', path, step)
      append(path, step, EVAL, scores)


def _lines(path: epath.Path) -> Iterator[tuple[int, dict, str]]:
  """Yields each line's number, its values, {} if damaged, and then why."""
  for number, line in enumerate(_read(path).split(b'\n'), 1):
    if line:
      try:
        yield number, _parse(line), ''
      except ValueError as error:
        yield number, {}, errors.one_line(error)


def _read(path: epath.Path) -> bytes:
  """Returns the content, b'' if there is no such file.

  Raises:
    UserError: it cannot be read, or is no regular file.
  """
  try:
    return files.read(str(path)) if path.exists() else b''
  except OSError as error:
    raise errors.UserError(
      f'{path} cannot be read: {error.strerror}'
    ) from error


def _parse(line: bytes) -> dict:
  """Returns the values of a line; raises ValueError if it is damaged."""
  values = inputs.parse_json(line)
  if not isinstance(values, dict):
    raise ValueError('not an object')
  # Earlier versions wrote no checksum.
  checksum = values.pop(_CHECKSUM, None)
  if checksum not in (None, _checksum(values)):
    raise ValueError('its checksum is wrong')
  types = dict.fromkeys(values, int | float | None)
  types |= {'step': int, 'split': str}
  needed = SCORES if values.get('split') == EVAL else ()
  if faults := [key for key in needed if key not in values] + [
    key for key, kind in types.items() if not isinstance(values.get(key), kind)
  ]:
    raise ValueError(f'{faults[0]!r} is missing or of another type')
  numbers = {key: x for key, x in values.items() if key != 'split'}
  if faults := [
    key
    for key, x in numbers.items()
    if x is not None and not abs(x) <= (_LAST_STEP if key == 'step' else _MOST)
  ]:
    raise ValueError(f'{faults[0]!r} is not finite, or too large')
  return values

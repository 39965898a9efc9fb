"""What becomes of each key of a foreign config, and the recipe of it."""

from collections.abc import Callable
import dataclasses
import math
import textwrap
from typing import Any

from inception_jax import errors

# Key → its counterpart and the conversion of its value; or why there is none.
Table = dict[str, tuple[str, Callable[[Any], Any]] | str]


@dataclasses.dataclass
class Migration:
  """A foreign config on its way to a recipe.

  Attributes:
    values: of the foreign config and its system's defaults, by key.
    given: the keys of the config itself.
    base: name of the recipe that the new one is based on.
    mapped: value of each key of this package, and where it is from.
    dropped: why each key without a counterpart has none.
    refused: why a value of each key here cannot be taken over.
  """

  values: dict[str, Any]
  given: frozenset[str]
  base: str = ''
  mapped: dict[str, tuple[Any, str]] = dataclasses.field(default_factory=dict)
  dropped: dict[str, str] = dataclasses.field(default_factory=dict)
  refused: dict[str, str] = dataclasses.field(default_factory=dict)

  def get(self, key: str, convert: Callable[[Any], Any], default=None) -> Any:
    """Returns a converted value; the default if it is absent or refused."""
    if key not in self.values:
      return default
    try:
      return convert(self.values[key])
    except ValueError as error:
      self.refused[key] = str(error)
      return default

  def map(self, path: str, value: Any, *keys: str) -> None:
    """Sets a key of this package, because of these keys."""
    origin = ', '.join(
      f'{key}: {self.values[key]}' if key in self.given else f'no {key}'
      for key in keys
    )
    self.mapped[path] = value, errors.printable(origin, 80)

  def drop(self, key: str, why: str) -> None:
    """Notes that a key has no counterpart, if the config has it."""
    if key in self.given:
      self.dropped[key] = why

  def refuse(self, key: str, why: str) -> None:
    """Notes that a key's value cannot be taken over."""
    self.refused[key] = why

  def take(self, table: Table) -> None:
    """Maps or drops each key of a table that the config has."""
    for key, target in table.items():
      if isinstance(target, str):
        self.drop(key, target)
      elif key in self.values:
        path, convert = target
        value = self.get(key, convert)
        if key not in self.refused:
          self.map(path, value, key)

  def finish(self, known: set[str]) -> None:
    """Refuses the keys that are not `known`."""
    for key in self.values.keys() - known:
      self.refuse(key, 'not a key of these configs')


def check_devices(
  values: dict[str, Any], key: str, devices: int | None
) -> None:
  """Raises a UserError if `key` is set and the number of devices is unknown."""
  if values.get(key) and not devices:
    raise errors.UserError(
      f'{key}: batch_size is that of each device: say how many there were, '
      '--num_devices=8'
    )


def number(value: Any) -> float:
  """Returns a finite number; YAML takes 1e-3, without a point, for text."""
  if not isinstance(value, int | float | str) or isinstance(value, bool):
    raise ValueError('expected a number')
  try:
    result = float(value)
  except (ValueError, OverflowError):
    raise ValueError('expected a number') from None
  if not math.isfinite(result):
    raise ValueError('expected a finite number')
  return result


def whole(value: Any) -> int:
  """Returns a whole number, of at most 31 bits."""
  result = number(value)
  if result != int(result) or not 0 <= result < 2**31:
    raise ValueError('expected a whole number from 0 to 2**31 - 1')
  return int(result)


def flag(value: Any) -> bool:
  """Returns a bool; MindSpore also writes 0 and 1."""
  if value in (0, 1):
    return bool(value)
  raise ValueError('expected True or False')


def text(value: Any) -> str:
  """Returns a string."""
  if not isinstance(value, str):
    raise ValueError('expected text')
  return value


def epochs(value: Any) -> str:
  """Returns a duration."""
  count = number(value)
  if count < 0:
    raise ValueError('expected at least 0')
  return f'{count:.15g} epoch' + 's' * (count != 1)


def steps(value: Any) -> str:
  """Returns a duration."""
  return f'{whole(value)} steps'


def numbers(count: int) -> Callable[[Any], tuple[float, ...]]:
  """Returns a conversion of lists of so many numbers."""

  def convert(value):
    if not isinstance(value, list) or len(value) != count:
      raise ValueError(f'expected {count} numbers')
    return tuple(map(number, value))

  return convert


def recipe(migration: Migration, source: str, output: str) -> str:
  """Returns the text of a recipe.

  Args:
    migration: finished.
    source: path of the foreign config.
    output: path of the recipe.
  """
  lines = [
    f'The values of {source}, taken over by inception_jax.tools.migrate.',
    '',
    f'  python main.py --config={output} --workdir=DIR --config.data.dir=DATA',
    '',
    f'What that file does not set is that of {migration.base}, whose docstring '
    'lists how it deviates from its source.',
  ]
  for title, keys in (
    ('Without a counterpart:', migration.dropped),
    ('Refused, so that the training differs:', migration.refused),
  ):
    if keys:
      lines += ['', title]
      lines += [f'- {describe(migration, key)}' for key in sorted(keys)]
  body = [
    f'  config.{path} = {value!r}' + f'  # {origin}' * bool(origin)
    for path, (value, origin) in sorted(migration.mapped.items())
  ]
  return '\n'.join(
    [
      '"""' + '\n'.join(map(_docstring_line, lines)),
      '"""',
      '',
      'from inception_jax.config import recipes',
      '',
      '',
      'def get_config():',
      f'  config = recipes.get_config({migration.base!r})',
      *body,
      '  return config',
      '',
    ]
  )


def describe(migration: Migration, key: str) -> str:
  """Returns 'KEY: VALUE: why it was dropped or refused', in one line."""
  why = migration.refused.get(key) or migration.dropped[key]
  value = migration.values.get(key, 'absent')
  shown = "''" if value == '' else value
  return errors.printable(f'{key}: {shown}: {why}', 400)


def _docstring_line(line: str) -> str:
  line = errors.printable(line).replace('\\', '\\\\').replace('"', '\\"')
  if line.startswith('  '):  # a command
    return line
  indent = '  ' if line.startswith('- ') else ''
  return '\n'.join(
    textwrap.wrap(line, 80, subsequent_indent=indent, break_on_hyphens=False)
  )

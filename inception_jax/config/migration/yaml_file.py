"""Reads YAML of strangers: one mapping of bounded size, without aliases."""

from typing import Any

import yaml

from inception_jax import errors
from inception_jax.errors import UserError

MOST_BYTES = 2**18
_MOST_KEYS = 1000


class _Loader(yaml.SafeLoader):
  """Refuses aliases, with which a small file has many values or no end."""

  def compose_node(self, parent, index):
    if self.check_event(yaml.AliasEvent):
      raise ValueError('it has aliases, which no config of these systems needs')
    return super().compose_node(parent, index)


def parse(content: bytes, path: str) -> dict[str, Any]:
  """Returns the mapping of a file's first document.

  Those of MindSpore have two more, of descriptions and of choices.

  Args:
    content: of the file.
    path: for messages.

  Raises:
    UserError: it is not YAML, or not a mapping of text to values.
  """
  if len(content) > MOST_BYTES:
    raise UserError(f'{path}: more than {MOST_BYTES} bytes are no config')
  try:
    loader = _Loader(content)
    values = loader.get_data() if loader.check_data() else None
  except RecursionError:
    raise UserError(f'{path} is not a config: nested too deeply') from None
  # The constructors of dates and numbers raise further errors.
  except (yaml.YAMLError, ValueError, LookupError, TypeError) as error:
    raise UserError(f'{path} is not YAML: {errors.one_line(error)}') from error
  if not isinstance(values, dict) or not all(
    isinstance(k, str) for k in values
  ):
    raise UserError(f'{path} is not a config: expected lines of KEY: VALUE')
  if len(values) > _MOST_KEYS:
    raise UserError(f'{path} is not a config: it has {len(values)} keys')
  return values

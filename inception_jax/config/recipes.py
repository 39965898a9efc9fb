"""The recipes that come with the package, by name."""

import difflib
import importlib.util
import pathlib

from inception_jax.errors import UserError

_PACKAGE = pathlib.Path(__file__).parents[1]


def folder() -> pathlib.Path:
  """Returns their folder: of an installed package, or configs/ beside it."""
  installed = _PACKAGE / 'recipes'
  return installed if installed.is_dir() else _PACKAGE.parent / 'configs'


def names() -> list[str]:
  """Returns the names of the recipes, sorted."""
  return sorted(
    path.stem for path in folder().glob('*.py') if path.stem != '__init__'
  )


def known(name: str = '') -> str:
  """Returns a sentence that lists them, first the one most like `name`."""
  similar = difflib.get_close_matches(name, names(), n=1)
  hint = ''.join(f'did you mean {found}? ' for found in similar)
  return f'{hint}the recipes are {", ".join(names())}'


def find(name: str) -> str:
  """Returns the path of a recipe's file.

  Raises:
    UserError: there is none of that name; lists those there are.
  """
  if name not in names():
    raise UserError(f'there is no recipe {name!r}; {known(name)}')
  return str(folder() / f'{name}.py')


def get_config(name: str):
  """Returns a new config of a recipe, for another one that is based on it."""
  spec = importlib.util.spec_from_file_location(f'recipe_{name}', find(name))
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module.get_config()

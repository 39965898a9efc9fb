"""The default config: every key is used."""

import ast
import pathlib

from configs import default
from inception_jax.config import serialization

ROOT = pathlib.Path(__file__).parents[2]


def test_every_key_is_read():
  """Setting a key that no code reads would have no effect."""
  read = set()
  for path in (ROOT / 'inception_jax').rglob('*.py'):
    tree = ast.parse(path.read_text())
    # Checking a key does not count as using it.
    tree.body = [n for n in tree.body if getattr(n, 'name', '') != 'check']
    for node in ast.walk(tree):
      if isinstance(node, ast.Attribute):
        # The last two names: 'model.width' of `config.model.width`, and of
        # `model.width` after model = config.model.
        owner = node.value
        if isinstance(owner, ast.Attribute):
          read.add(f'{owner.attr}.{node.attr}')
        elif isinstance(owner, ast.Name):
          read.add(f'{owner.id}.{node.attr}')
  # Local variables that conventionally hold a group.
  short = {'o': 'optimizer', 's': 'schedule'}
  read |= {
    f'{short[owner]}.{key}'
    for owner, key in (name.split('.') for name in read)
    if owner in short
  }
  for key in dict(serialization.flatten(default.get_config())):
    name = key if '.' in key else f'config.{key}'
    assert name in read, f'nothing reads config.{key}'

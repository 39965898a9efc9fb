"""Finds the datasets that tensorflow-datasets has prepared below a folder."""

from collections.abc import Iterator
import os
import re

from inception_jax import inputs
from inception_jax.data.sources import recognition
from inception_jax.data.sources.recognition import Found
from inception_jax.runtime import files

_MOST_LEVELS = 3  # below DIR: DIR/NAME/CONFIG/VERSION
_INFO = 'dataset_info.json'


def recognize(path: str) -> Iterator[Found]:
  """Yields what is there; see `recognition`.

  Of `path` = DIR/NAME/VERSION, or a folder above it, DIR is the `data.dir`. Of
  several versions, the newest is that which a name alone stands for.
  """
  if not os.path.isdir(path):
    return
  path = os.path.abspath(path)
  seen, level = set(), [path]
  for _ in range(_MOST_LEVELS + 1):
    for folder in level:
      if (found := _found(folder, path)) and found.source not in seen:
        seen.add(found.source)
        yield found
    level = [inner for x in level for inner in recognition.folders(x)]


def _found(folder: str, path: str) -> Found | None:
  """Returns the dataset in a folder DIR/NAME[/CONFIG]/VERSION, or None."""
  *above, parent, version = folder.split('/')
  info = os.path.join(folder, _INFO)
  if not (re.fullmatch(r'\d+\.\d+\.\d+', version) and os.path.isfile(info)):
    return None
  try:
    name = inputs.parse_json(files.read(info))['name']
  except (ValueError, TypeError, LookupError, OSError):
    return None
  if parent != name and above:
    config, parent = parent, above.pop()
    name = f'{name}/{config}'
  if parent != name.partition('/')[0]:
    return None
  source = f'tfds:{name}' if folder != path else f'tfds:{name}:{version}'
  return Found(source, '/'.join(above) or '/', info)

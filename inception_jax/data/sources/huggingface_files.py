"""Which files of a folder hold which split, in the layouts of `datasets`."""

import os
import pathlib
import re
from typing import Any

from inception_jax import errors
from inception_jax import inputs
from inception_jax.runtime import files

_SHARD = re.compile(
  r'(?P<split>.+?)-(?P<number>\d{5})-of-(?P<count>\d{5})(-\w+)?\.parquet'
)
_STATE = 'state.json'
_MOST_BYTES = 2**26


def splits(root: pathlib.Path) -> dict[str, list[str]]:
  """Returns the files of each split in a folder, which may be that of one.

  Raises:
    UserError: a split is in several folders, or its list of files names others.
    OSError: a folder cannot be listed.
  """
  if (root / _STATE).is_file():
    if (root.parent / 'dataset_dict.json').is_file():
      return splits(root.parent)
    # A dataset that has no splits is there to be trained on.
    name = read_json(root / _STATE).get('_split') or 'train'
    return {str(name): _saved(root)}
  folders = sorted(path for path in root.iterdir() if path.is_dir())
  if saved := [path for path in folders if (path / _STATE).is_file()]:
    return {path.name: _saved(path) for path in saved}
  return _parquet(root, folders)


def missing(paths: list[str]) -> list[str]:
  """Returns a line for each file that a split should have."""
  faults = [
    f'{os.path.dirname(path)} lacks {os.path.basename(path)}'
    for path in paths
    if not os.path.lexists(path)
  ]
  shards = [_SHARD.fullmatch(os.path.basename(path)) for path in paths]
  if shards and all(shards):
    counts = sorted({shard['count'] for shard in shards})
    folder, split = os.path.dirname(paths[0]), shards[0]['split']
    if len(counts) > 1:
      return [
        f'{folder}: the files of {split} belong to sets of {counts} files'
      ]
    have = {int(shard['number']) for shard in shards}
    faults += [
      f'{folder} lacks {split}-{number:05}-of-{counts[0]}'
      for number in range(int(counts[0]))
      if number not in have
    ]
  return errors.shorten(faults)


def read_json(path) -> dict[str, Any]:
  """Returns a JSON object from outside; {} if it is none."""
  try:
    value = inputs.parse_json(files.read(str(path), _MOST_BYTES))
  except (OSError, ValueError):
    return {}
  return value if isinstance(value, dict) else {}


def inside(root: pathlib.Path, path: str | None) -> str:
  """Returns the path of an image that is a file of the dataset's own.

  Raises:
    ValueError: it is none.
  """
  if not path:
    raise ValueError('there is no image, and no path of one')
  if os.path.isabs(path) or '..' in path.split('/') or '\0' in path:
    raise ValueError(
      f'{path!r} is the path of an image that is not in the dataset: '
      'datasets.save_to_disk stores the images themselves'
    )
  return os.path.join(root, path)


def _saved(folder: pathlib.Path) -> list[str]:
  """Returns the files that `save_to_disk` lists in a folder."""
  state = read_json(folder / _STATE)
  if state.get('_indices_data_files'):
    raise errors.UserError(
      f'{folder} has an index of its own, by an old version of datasets: load '
      'it with datasets.load_from_disk, and save it again'
    )
  listed = state.get('_data_files')
  try:
    names = [item['filename'] for item in listed]
    if not names or any(os.path.basename(x) != x or x == '..' for x in names):
      raise ValueError(names)
  except (TypeError, KeyError, ValueError):
    raise errors.UserError(
      f'{folder / _STATE}: _data_files is not a list of files beside it'
    ) from None
  return [str(folder / name) for name in names]


def _parquet(root: pathlib.Path, folders) -> dict[str, list[str]]:
  """Returns the Parquet files of each split, in a folder or one below it."""
  found: dict[str, dict] = {}
  for folder in (root, *folders):
    for path in sorted(folder.glob('[!.]*.parquet')):
      shard = _SHARD.fullmatch(path.name)
      own = path.stem if folder is root else folder.name
      places = found.setdefault(shard['split'] if shard else own, {})
      places.setdefault(folder, []).append(str(path))
  if faults := [
    f'{root}: the split {split} is in {" and in ".join(x.name for x in places)}'
    ': set --config.data.dir to the folder of one dataset'
    for split, places in found.items()
    if len(places) > 1
  ]:
    raise errors.UserError(*errors.shorten(faults))
  return {split: next(iter(x.values())) for split, x in found.items()}

"""Images that a dataset has more than once, within a split or in two.

An image of the evaluation split that is also trained on raises its accuracy,
and one in two classes has a wrong label.
"""

import collections
from collections.abc import Sequence
import hashlib
import io
import logging
from typing import Any

import numpy as np
from PIL import Image
from scipy import sparse
from scipy.sparse import csgraph
import tqdm

from inception_jax.data import pillow
from inception_jax.data import places
from inception_jax.data.splits import Indexed
from inception_jax.errors import UserError

log = logging.getLogger(__name__)

log = logging.getLogger(__name__)

MOST_COMPARED = 200_000  # each with all others
_BLOCK = 256
_MOST_GROUPS, _MOST_LOGGED = 100, 20


def check(splits: dict[str, Indexed], bits: int) -> None:
  """Raises a UserError for too many images to compare each with all others."""
  count = sum(split.size for split in splits.values())
  if bits >= 0 and count > MOST_COMPARED:
    raise UserError(
      f'--near_duplicates compares at most {MOST_COMPARED} images, here are '
      f'{count}; without it, equal files are found among any number'
    )


def find(splits: dict[str, Indexed], bits: int = -1) -> dict[str, Any]:
  """Finds images with the same file content, or that look alike.

  Args:
    splits: of image files, by name.
    bits: images look alike if of the 64 bits of their difference hashes at most
      so many differ; −1: the files must be equal.

  Returns:
    The number of 'groups', and of those 'across_splits' and 'across_classes';
    'paths' of the first 100, those across splits first.

  Raises:
    UserError: as `check`.
  """
  check(splits, bits)
  paths, owners, classes = [], [], []
  for name, split in splits.items():
    paths += map(split.name, range(split.size))
    owners += [name] * split.size
    classes += [split.class_names[label] for label in split.labels]
  groups: dict[int, list[int]] = {}
  for i, number in enumerate(
    _equal(paths) if bits < 0 else _alike(paths, bits)
  ):
    groups.setdefault(int(number), []).append(i)
  found = [group for group in groups.values() if len(group) > 1]
  is_across = lambda values, group: len({values[i] for i in group}) > 1
  found.sort(key=lambda group: not is_across(owners, group))
  return {
    'groups': len(found),
    'across_splits': sum(is_across(owners, group) for group in found),
    'across_classes': sum(is_across(classes, group) for group in found),
    'paths': [[paths[i] for i in group] for group in found[:_MOST_GROUPS]],
  }


def log_groups(found: dict[str, Any]) -> None:
  """Logs the first groups that `find` returns."""
  if not found['groups']:
    return
  log.warning(
    '%d images are there more than once, %d in several splits, %d in several '
    'classes:',
    *(found['groups'], found['across_splits'], found['across_classes']),
  )
  for paths in found['paths'][:_MOST_LOGGED]:
    log.warning('  %s', ' = '.join(paths))


def _equal(paths: list[str]) -> Sequence[int]:
  """Returns a number for each file, the same for those of equal content."""
  sizes = [places.size(path) for path in paths]
  counts = collections.Counter(sizes)
  numbers, known = [], {}
  for i, path in enumerate(tqdm.tqdm(paths, 'comparing files')):
    key = i
    if counts[sizes[i]] > 1:  # files of other sizes are other files
      with places.open_file(path, keep=False) as file:
        key = hashlib.file_digest(file, 'sha256').digest()
    numbers.append(known.setdefault(key, len(known)))
  return numbers


def _alike(paths: list[str], bits: int) -> Sequence[int]:
  """Returns a number for each image, the same for those that look alike."""
  hashes = np.zeros(len(paths), np.uint64)
  known = np.zeros(len(paths), bool)
  for i, path in enumerate(tqdm.tqdm(paths, 'hashing images')):
    try:
      hashes[i], known[i] = difference_hash(places.read(path)), True
    except Exception:  # each decoder has its own; bad images are counted before
      continue
  (numbers,) = np.nonzero(known)
  hashes = hashes[numbers]
  edges = []
  for start in tqdm.trange(0, len(hashes), _BLOCK, desc='comparing images'):
    block = hashes[start : start + _BLOCK, None]
    rows, columns = np.nonzero(np.bitwise_count(block ^ hashes[start:]) <= bits)
    edges.append(numbers[np.stack([rows, columns]) + start])
  rows, columns = np.concatenate([*edges, np.zeros((2, 0), int)], axis=1)
  shape = (len(paths),) * 2
  graph = sparse.coo_array((np.ones(len(rows)), (rows, columns)), shape)
  return csgraph.connected_components(graph, directed=False)[1]


def difference_hash(encoded: bytes) -> int:
  """Returns 64 bits: whether each of 8×8 grey values is below its right one.

  As dHash of the package ImageHash, but from a JPEG decoded at a fraction of
  its size.
  """
  with Image.open(io.BytesIO(encoded)) as image:
    image.draft('L', (144, 128))
    grey = pillow.of_8_bits(image).convert('L')
    small = grey.resize((9, 8), Image.Resampling.LANCZOS)
  grey = np.asarray(small)
  bits = np.packbits(grey[:, 1:] > grey[:, :-1])
  return int.from_bytes(bits.tobytes(), 'big')

"""Pooled features of a split in files, computed once and then read.

A file holds the features of `IMAGES_A_FILE` images. Its first line is JSON: a
key of everything that the features depend on, and the SHA-256 of the rows that
follow. Files are written one after the other, so that an interrupted
computation continues; a damaged one, or one of another key, is computed again.
"""

from collections.abc import Callable
from collections.abc import Iterator
import hashlib
import itertools
import json
import logging
from typing import Any

from etils import epath
import jax
import numpy as np

from inception_jax import inputs
from inception_jax.distributed import session
from inception_jax.distributed import sharding
from inception_jax.evaluation import members
from inception_jax.runtime import files
from inception_jax.runtime import progress_bar
from inception_jax.runtime.process import is_primary

log = logging.getLogger(__name__)

IMAGES_A_FILE = 1024
# Rows from a step on with a global batch size: a 'label', a 'mask' and whatever
# a `Forward` takes of each.
Batches = Callable[[int, int], Iterator[dict[str, np.ndarray]]]


def row_type(width: int) -> np.dtype:
  """Returns the type of an image's row, with features of this width."""
  return np.dtype(
    [('features', '<f4', (width,)), ('label', '<i4'), ('mask', '<f4')]
  )


class FeatureStore:
  """The files of one split."""

  def __init__(self, folder: str, name: str, facts: dict[str, Any]):
    """Names the files; reads nothing yet.

    Args:
      folder: of the files, which all processes see.
      name: of the split, the beginning of the files' names.
      facts: JSON of everything that the features depend on.
    """
    self._folder, self._name = epath.Path(folder), name
    text = json.dumps(facts, sort_keys=True)
    self._key = hashlib.sha256(text.encode()).hexdigest()

  def load_or_compute(
    self, config, forward, variables, size: int, width: int, mesh, batches
  ) -> np.ndarray:
    """Reads the files, and computes and writes those that are missing.

    Args:
      config: resolved; gives the batch size.
      forward: (variables, a batch without label and mask) → float32 [B, width].
      variables: {'params', 'batch_stats'}.
      size: how many rows there are.
      width: of the features.
      mesh: the devices, over which a batch is sharded.
      batches: see `Batches`.

    Returns:
      A `row_type` for each row, [size], in every process: its pooled
      features; its label; 'mask', 0 where it could not be decoded.
    """
    rows = np.zeros(size, row_type(width))
    missing = self._read(rows)
    if not missing:
      return rows
    batch_size = sharding.round_up(min(config.batch_size, size), mesh)
    runs = _runs(missing, size)
    steps = [range(a // batch_size, -(-b // batch_size)) for a, b in runs]
    forward = members.jit_of_rows(config, forward, mesh)
    variables = sharding.replicate(mesh, variables)

    def blocks():
      for run, own in zip(runs, steps, strict=True):
        stream = batches(own[0], batch_size)
        for step, batch in zip(own, stream, strict=False):
          batch = sharding.to_global(mesh, batch)
          block = {key: batch.pop(key) for key in ('label', 'mask')}
          block['features'] = forward(variables, batch)
          yield run, step * batch_size, sharding.replicate(mesh, block)

    done = _one_behind(blocks())
    total = sum(map(len, steps))
    done = progress_bar.track(
      done, total, f'features of {self._name}', 'batches'
    )
    for (begin, end), first, block in done:
      block = jax.device_get(block)
      last = min(first + batch_size, end)
      kept = slice(max(first, begin), last)
      for field in rows.dtype.names:
        rows[field][kept] = block[field][kept.start - first : last - first]
      for i in missing[:]:
        a, b = _bounds(i, size)
        if begin <= a and b <= last:
          self._write(i, rows[a:b])
          missing.remove(i)
    return rows

  def _read(self, rows: np.ndarray) -> list[int]:
    """Reads the files that are whole; returns the numbers of the others."""
    numbers = range(-(-len(rows) // IMAGES_A_FILE))

    def check():
      states = [self._read_one(i, rows) for i in numbers]
      for state in ('damaged', 'of other weights, images or preprocessing'):
        if count := states.count(state):
          log.warning(
            'features of %s: %d of %d files are %s, and are computed again',
            *(self._name, count, len(states), state),
          )
      return [i for i in numbers if states[i]]

    missing = session.from_primary(check)
    if not is_primary():
      for i in set(numbers) - set(missing):
        if state := self._read_one(i, rows):
          raise OSError(f'{self._path(i)} is {state}, but not in process 0')
    if len(missing) < len(numbers):
      log.info(
        'features of %s: %d of %d files read',
        *(self._name, len(numbers) - len(missing), len(numbers)),
      )
    return missing

  def _read_one(self, number: int, rows: np.ndarray) -> str:
    """Reads one file; returns why it could not, or ''."""
    begin, end = _bounds(number, len(rows))
    try:
      content = files.read(str(self._path(number)))
      header, _, body = content.partition(b'\n')
      header = inputs.parse_json(header.decode())
      key, digest = header['key'], header['sha256']
    except FileNotFoundError:
      return 'missing'
    except (OSError, ValueError, KeyError, TypeError):
      return 'damaged'
    if key != self._key:
      return 'of other weights, images or preprocessing'
    whole = len(body) == rows[begin:end].nbytes
    if not whole or digest != hashlib.sha256(body).hexdigest():
      return 'damaged'
    rows[begin:end] = np.frombuffer(body, rows.dtype)
    return ''

  def _write(self, number: int, rows: np.ndarray) -> None:
    if not is_primary():
      return
    body = rows.tobytes()
    header = {'key': self._key, 'sha256': hashlib.sha256(body).hexdigest()}
    self._folder.mkdir(parents=True, exist_ok=True)
    content = json.dumps(header).encode() + b'\n' + body
    files.atomic_write(self._path(number), content)

  def _path(self, number: int) -> epath.Path:
    return self._folder / f'{self._name}-{number:05}.features'


def _bounds(number: int, size: int) -> tuple[int, int]:
  """Returns the first row of a file, and the end of its rows."""
  begin = number * IMAGES_A_FILE
  return begin, min(begin + IMAGES_A_FILE, size)


def _runs(numbers: list[int], size: int) -> list[tuple[int, int]]:
  """Returns the rows of files with consecutive numbers, as few runs."""
  runs = []
  for begin, end in (_bounds(i, size) for i in numbers):
    if runs and runs[-1][1] == begin:
      begin, _ = runs.pop()
    runs.append((begin, end))
  return runs


def _one_behind(items: Iterator) -> Iterator:
  """Yields each item when the next one has been dispatched."""
  for item, following in itertools.pairwise(itertools.chain(items, [None])):
    del following
    yield item

"""The targets of `make fuzz` on their seeds and a few mutations of each."""

import os
import subprocess
import sys

import numpy as np
import pytest

from inception_jax.errors import UserError
from tests.fuzz import bounds
from tests.fuzz import targets
from tests.support.commands import ROOT

MUTATIONS = 40  # of each target's inputs


@pytest.mark.slow
@pytest.mark.parametrize('name', targets.TARGETS)
def test_inputs_stay_within_bounds(name, tmp_path):
  target = targets.TARGETS[name]
  random = np.random.default_rng(0)
  inputs = [*target.seeds(), *target.hostile()]
  for i in range(MUTATIONS):
    inputs.append(targets.mutated(inputs[i], random))
  for content in inputs:
    found = bounds.breaches(target, content, tmp_path / 'x')
    assert found == [], content


@pytest.mark.slow
@pytest.mark.parametrize('name', targets.TARGETS)
def test_seeds_are_accepted(name, tmp_path):
  """Else mutations would only meet the first check of a reader."""
  target = targets.TARGETS[name]
  for i, seed in enumerate(target.seeds()):
    accepted = 0
    for j, read in enumerate(target.reads):
      folder = tmp_path / f'{i}-{j}'
      folder.mkdir()
      try:
        read(seed, folder)
        accepted += 1
      except target.errors:
        pass
    assert accepted, seed


def _say_much(*_):
  raise UserError(*['x'] * (bounds.MAX_LINES + 1))


def _hide_memory_error(*_):
  try:
    raise MemoryError
  except MemoryError as error:
    raise UserError('damaged') from error


@pytest.mark.parametrize(
  ('read', 'reason'),
  [
    (lambda *_: {}['x'], 'KeyError'),
    (_hide_memory_error, 'out of memory'),
    (_say_much, '61 lines of errors'),
    (lambda _, folder: (folder / 'a').write_bytes(b''), ''),
    (lambda _, folder: (folder / '../a').write_bytes(b''), 'OutOfBounds'),
    (lambda _, folder: os.mkdir(folder.parent / 'a'), 'OutOfBounds'),
    (lambda _, folder: os.symlink('b', folder.parent / 'a'), 'OutOfBounds'),
    (lambda *_: os.system('true'), 'OutOfBounds'),
  ],
)
def test_a_breach_is_found(read, reason, tmp_path):
  target = bounds.Target((read,), list)
  found = bounds.breaches(target, b'', tmp_path / 'x')
  assert (reason in found[0]) if reason else not found
  assert not list(tmp_path.iterdir())


def test_memory_is_bounded(tmp_path):
  # A process of its own: this one may give memory back meanwhile.
  program = f"""
import pathlib
from tests.fuzz import bounds
read = lambda *_: b'x' * (bounds.MAX_GROWTH + 2**25)
target = bounds.Target((read,), list)
print(bounds.breaches(target, b'', pathlib.Path('{tmp_path}', 'x')))
"""
  done = subprocess.run(
    [sys.executable, '-c', program], cwd=ROOT, capture_output=True, text=True
  )
  assert 'MB of memory' in done.stdout, done.stderr


def test_what_a_reader_catches_is_found_as_well(tmp_path):
  def read(_, folder):
    try:
      os.rename(folder, folder.with_name('y'))
    except BaseException:
      raise UserError('damaged') from None

  (found,) = bounds.breaches(bounds.Target((read,), list), b'', tmp_path / 'x')
  assert 'os.rename' in found

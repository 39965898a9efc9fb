"""Everything that can be wrong with a run, found before it costs anything."""

import os
import tempfile

import jax

from inception_jax import config as config_lib
from inception_jax import data
from inception_jax import models
from inception_jax import optim
from inception_jax import sharding


def check(config, workdir: str, train: bool) -> None:
  """Checks the whole config and the workdir.

  Args:
    config: the whole config.
    workdir: where the run is to write.
    train: whether it is to train; an evaluation pads its batches, so that any
      batch size will do.

  Raises:
    UserError: with every fault at once.
  """
  faults = (
    config_lib.check(config)
    + models.check(config)
    + data.check(config)
    + optim.check(config)
    + _check_workdir(workdir)
  )
  if train and config.batch_size >= 1:
    faults += sharding.check(config, jax.device_count())
  if faults:
    raise config_lib.UserError(*faults)


def _check_workdir(workdir: str) -> list[str]:
  """Tries to write there, and leaves nothing behind."""
  if not workdir:
    return ['--workdir is missing: the folder for checkpoints and logs']
  if '://' in workdir:
    return []
  path, made = os.path.abspath(workdir), []
  try:
    missing = path
    while not os.path.lexists(missing):
      made.append(missing)
      missing = os.path.dirname(missing)
    os.makedirs(path, exist_ok=True)
    with tempfile.TemporaryFile(dir=path):
      return []
  except OSError as error:
    return [f'--workdir={workdir} cannot be written: {error.strerror}']
  finally:
    for folder in made:
      if os.path.isdir(folder):
        os.rmdir(folder)

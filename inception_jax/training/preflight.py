"""Checks config, workdir and batch size before a run reads data or compiles."""

import os

import jax

from inception_jax import errors
from inception_jax.checkpointing import contents
from inception_jax.config import durations
from inception_jax.config import validation
from inception_jax.data import config_check
from inception_jax.distributed import sharding
from inception_jax.models import factory
from inception_jax.runtime import files
from inception_jax.runtime.process import is_primary
from inception_jax.training import caching
from inception_jax.training import loss_scale
from inception_jax.training import optimizer
from inception_jax.training import schedules
from inception_jax.training import unfreezing


def check(
  config,
  workdir: str,
  train: bool,
  output: str = '',
  num_devices: int | None = None,
) -> None:
  """Checks the whole config and the workdir.

  Args:
    config: the whole config.
    workdir: where the run writes.
    train: whether it trains; an evaluation pads its batches, so any batch
      size is valid, and it writes only to `output`.
    output: another folder to write to, if any.
    num_devices: that share a batch; None: all that jax has.

  Raises:
    UserError: lists every fault.
  """
  config = factory.resolve(config)
  # The training split may be missing, unless it has the images to evaluate on.
  if not (train or config.data.val_fraction):
    config.data.train_split = config.data.eval_split
  faults = of_config(config, open_name=True)
  if train:
    faults += of_batch(config, num_devices or jax.device_count())
  if is_primary():  # which alone changes the folders
    if train:
      faults += _check_workdir(workdir)
    if output and (fault := files.cannot_write(output)):
      faults.append(f'--output={output} cannot be written: {fault}')
  if faults:
    raise errors.UserError(*faults)


def of_config(config, open_name: bool = False) -> list[str]:
  """Returns the faults of a resolved config on any hardware.

  For `open_name` see `factory.check`.
  """
  return (
    validation.check(config)
    + durations.check(config)
    + factory.check(config, open_name)
    + loss_scale.check(config)
    + config_check.check(config)
    + optimizer.check(config)
    + schedules.check(config)
    + unfreezing.check(config)
    + caching.check(config)
  )


def of_batch(config, num_devices: int) -> list[str]:
  """Returns the faults of a valid batch size on `num_devices` devices."""
  if config.batch_size < 1 or config.gradient_accumulation < 1:
    return []
  return sharding.check(config, num_devices)


def _check_workdir(workdir: str) -> list[str]:
  """Tries to write a file there; leaves nothing behind."""
  if not workdir:
    return ['--workdir is missing: the folder for checkpoints and logs']
  if fault := contents.cannot_hold(workdir):
    return [f'--workdir cannot hold checkpoints: {fault}']
  if '://' in workdir:
    return []  # gs://, since the flag takes no other
  checkpoints = os.path.join(workdir, 'checkpoints')
  for path in (workdir, checkpoints):
    if path == checkpoints and not os.path.lexists(path):
      continue
    if fault := files.cannot_write(path):
      return [f'--workdir={workdir} cannot be written: {fault}']
  return []

"""Everything that can be wrong with a run, found before it costs anything."""

import os
import shutil
import tempfile

import jax

from inception_jax import config as config_lib
from inception_jax import data
from inception_jax import models
from inception_jax import optim
from inception_jax import plan
from inception_jax import precision
from inception_jax import schedules
from inception_jax import scratch
from inception_jax import sharding


def check(config, workdir: str, train: bool, output: str = '') -> None:
  """Checks the whole config and the workdir.

  Args:
    config: the whole config.
    workdir: where the run is to write.
    train: whether it is to train; an evaluation pads its batches, so that any
      batch size will do, and writes nothing but into `output`.
    output: another folder to be written to, if any.

  Raises:
    UserError: with every fault at once.
  """
  config = models.resolve(config)
  if not train:  # the other split may not be there
    config.data.train_split = config.data.eval_split
  faults = of_config(config)
  if train:
    faults += _check_workdir(workdir)
    faults += of_batch(config, jax.device_count())
  if output and (fault := cannot_write(output)):
    faults.append(f'--output={output} cannot be written: {fault}')
  if faults:
    raise config_lib.UserError(*faults)


def of_config(config) -> list[str]:
  """Faults of a resolved config, whatever it runs on."""
  return (
    config_lib.check(config)
    + plan.check(config)
    + models.check(config)
    + precision.check(config)
    + data.check(config)
    + optim.check(config)
    + schedules.check(config)
  )


def of_batch(config, num_devices: int) -> list[str]:
  """Faults of the batch against the devices, unless it is at fault alone."""
  if config.batch_size < 1 or config.gradient_accumulation < 1:
    return []
  return sharding.check(config, num_devices)


def _check_workdir(workdir: str) -> list[str]:
  """Tries to write there, and leaves nothing behind."""
  if not workdir:
    return ['--workdir is missing: the folder for checkpoints and logs']
  scheme, separator, _ = workdir.partition('://')
  if separator:
    known = f'--workdir={workdir}: expected a local path or gs://BUCKET/PATH'
    return [] if scheme == 'gs' else [known]
  checkpoints = os.path.join(workdir, 'checkpoints')
  for path in (workdir, checkpoints):
    if path == checkpoints and not os.path.lexists(path):
      continue
    if fault := cannot_write(path):
      return [f'--workdir={workdir} cannot be written: {fault}']
  return []


def too_full(path: str, needed: int) -> list[str]:
  """A fault if `needed` bytes do not fit where a folder is or could be."""
  there = next(p for p in scratch.upwards(path) if os.path.lexists(p))
  free = shutil.disk_usage(there).free
  if free >= needed:
    return []
  return [
    f'{there} has {free / 1e9:.1f} GB free, {needed / 1e9:.1f} are needed'
  ]


def cannot_write(path: str) -> str:
  """Why no file can be made in a folder that is or could be; '' if one can."""
  path = os.path.abspath(path)
  try:
    with scratch.folder(path), tempfile.TemporaryFile(dir=path):
      return ''
  except OSError as error:
    return f'{path}: {error.strerror}'

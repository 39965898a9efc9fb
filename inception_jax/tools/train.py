"""Trains a network, or evaluates one.

python main.py --config=configs/digits.py --workdir=runs/digits
python main.py --config=configs/digits.py --workdir=runs/digits --mode=eval
"""

import pathlib

from absl import flags
from ml_collections import config_flags

from inception_jax.errors import UserError
from inception_jax.runtime import cli
from inception_jax.runtime import device_flags
from inception_jax.runtime import preemption
from inception_jax.runtime.process import is_primary

FLAGS = flags.FLAGS
_CONFIG = config_flags.DEFINE_config_file('config', None, 'The recipe.')
_WORKDIR = cli.define_path(
  'workdir', 'Folder of checkpoints and logs.', copied=False
)
_MODE = flags.DEFINE_enum('mode', 'train', ['train', 'eval'], 'The task.')
_CACHE = flags.DEFINE_string(
  'compilation_cache',
  cli.COMPILATION_CACHE,
  'Folder that caches compiled programs between runs; empty: no cache.',
)
flags.adopt_module_key_flags(device_flags)
# For --mode=eval only.
_CHECKPOINT = flags.DEFINE_list(
  'checkpoint',
  'latest',
  'latest, best, a step, or the path of a run, a checkpoint or a weights file; '
  'the probabilities of several, separated by commas, are averaged.',
)
_WEIGHTS = flags.DEFINE_enum(
  'weights', 'ema', ['ema', 'raw'], 'The moving average, if any, or raw.'
)
_LABELS = cli.define_path(
  'labels', "JSON file of labels, in place of the split's own."
)
_CLASSES = cli.define_path(
  'classes', 'File with the classes to restrict to, one per line.'
)
_OUTPUT = cli.define_path(
  'output', 'Folder for predictions.csv and evaluation.json.'
)
_FOLLOW = flags.DEFINE_bool(
  'follow', False, 'Evaluate each new checkpoint until the training ends.'
)
_PATIENCE = flags.DEFINE_float(
  'patience_minutes',
  60.0,
  'With --follow: how long to wait while no training runs.',
  lower_bound=0.0,
)
# For several processes; not needed on clusters that jax detects.
_COORDINATOR = flags.DEFINE_string(
  'coordinator_address', '', 'HOST:PORT of process 0, for every process.'
)
_PROCESSES = flags.DEFINE_integer(
  'num_processes', None, 'Number of processes of this run.'
)
_PROCESS = flags.DEFINE_integer(
  'process_id', None, 'Index of this process, from 0.'
)
_TIMEOUT = flags.DEFINE_float(
  'initialization_timeout',
  50.0,
  'Seconds to wait for the other processes.',
  lower_bound=1.0,
)
_ONE_EVALUATION = (_CHECKPOINT, _WEIGHTS, _LABELS, _CLASSES, _OUTPUT)


def main():
  """Trains or evaluates, and returns the result."""
  config, mode = _CONFIG.value, _MODE.value
  workdir = _WORKDIR.value
  if config is None:
    raise UserError('--config is missing, for example configs/digits.py')
  if faults := _check(mode, workdir):
    raise UserError(*faults)

  if mode == 'train':
    recipe = pathlib.Path(FLAGS['config'].config_filename).stem
    config.recipe = config.recipe or recipe
    preemption.install()
  # Imported late: these take seconds, and mistakes should be reported at once.
  from inception_jax.distributed import cluster
  from inception_jax.distributed import session

  process = cluster.detect(_COORDINATOR.value, _PROCESSES.value, _PROCESS.value)
  device_flags.restrict(several_processes=process is not None)
  with session.connected(process, config, workdir, _TIMEOUT.value):
    result = _run(config, workdir, mode)
    return result if is_primary() else None


def _run(config, workdir: str, mode: str) -> dict:
  """Trains or evaluates, as one of the connected processes."""
  from inception_jax.training import preflight

  output, train = _OUTPUT.value, mode == 'train'
  chosen = device_flags.chosen()
  preflight.check(config, workdir, train, output, len(chosen))
  cli.use_compilation_cache(_CACHE.value)

  from inception_jax.buckets import runs
  from inception_jax.distributed import session
  from inception_jax.distributed import sharding
  from inception_jax.evaluation import evaluate
  from inception_jax.evaluation import follow
  from inception_jax.training import loop

  mesh = sharding.make_mesh(chosen)
  if train:
    with session.local_workdir(workdir) as workdir:
      return loop.train(config, workdir, mesh)
  workdir = runs.local(workdir)
  if _FOLLOW.value:
    return follow.follow(config, workdir, mesh, _PATIENCE.value)
  options = evaluate.Options(
    checkpoints=tuple(_CHECKPOINT.value),
    ema=_WEIGHTS.value == 'ema',
    labels=_LABELS.value,
    classes=_CLASSES.value,
    output=output,
  )
  return evaluate.evaluate(config, workdir, mesh, options).result


def _check(mode: str, workdir: str) -> list[str]:
  """Returns the faults of flags that do not go together."""
  if mode == 'train':
    return [
      f'--{flag.name} is for --mode=eval'
      + ': training resumes itself' * (flag is _CHECKPOINT)
      for flag in (*_ONE_EVALUATION, _FOLLOW, _PATIENCE)
      if flag.present
    ]
  faults = []
  if not _CHECKPOINT.value:
    faults.append('--checkpoint is empty')
  if not workdir and not all('/' in which for which in _CHECKPOINT.value):
    faults.append('--workdir is missing: the folder of the run to evaluate')
  if _FOLLOW.value:
    # Other scores than the training's own must not get on its curves.
    faults += [
      f'--{flag.name} is not for --follow, which evaluates as the training does'
      for flag in _ONE_EVALUATION
      if flag.present
    ]
  return faults


if __name__ == '__main__':
  cli.run(main)

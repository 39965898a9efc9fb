"""Trains or evaluates: flags → config → train or evaluate.

python main.py --config=configs/digits.py --workdir=runs/digits
python main.py --config=configs/digits.py --workdir=runs/digits --mode=eval
"""

import os

from absl import flags
from ml_collections import config_flags

from inception_jax import cli
from inception_jax import preemption
from inception_jax.config import UserError

FLAGS = flags.FLAGS
_CONFIG = config_flags.DEFINE_config_file('config', None, 'The recipe.')
_WORKDIR = flags.DEFINE_string('workdir', '', 'Checkpoints and logs go here.')
_MODE = flags.DEFINE_enum('mode', 'train', ['train', 'eval'], 'What to do.')
_CHECKPOINT = flags.DEFINE_string(
  'checkpoint',
  'latest',
  'With --mode=eval: latest, best, a step, or the path of a checkpoint.',
)
_CACHE = flags.DEFINE_string(
  'compilation_cache',
  cli.COMPILATION_CACHE,
  'Where compiled programs are kept for the next run; empty: nowhere.',
)


def main():
  config, mode = _CONFIG.value, _MODE.value
  workdir = os.path.expanduser(_WORKDIR.value)
  if config is None:
    raise UserError('--config is missing, for example configs/digits.py')
  if mode == 'train' and FLAGS['checkpoint'].present:
    raise UserError('--checkpoint is for --mode=eval: training resumes itself')
  if mode == 'eval' and not workdir and '/' not in _CHECKPOINT.value:
    raise UserError('--workdir is missing: the folder of the run to evaluate')

  if mode == 'train':
    preemption.install()
  # Imported late: TensorFlow takes seconds, which a mistake need not cost.
  from inception_jax import preflight

  preflight.check(config, workdir, train=mode == 'train')
  cli.use_compilation_cache(_CACHE.value)

  from inception_jax import evaluate
  from inception_jax import sharding
  from inception_jax import train

  mesh = sharding.make_mesh()
  if mode == 'train':
    return train.train(config, workdir, mesh)
  return evaluate.evaluate(config, workdir, mesh, _CHECKPOINT.value)


if __name__ == '__main__':
  cli.run(main)

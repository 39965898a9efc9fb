"""Compiles a training step ahead of time, without a TPU; estimates its cost.

python -m inception_jax.tools.compile --config=configs/inception_v4.py \
    --topology=v5e:16x16

python -m inception_jax.tools.compile --config=configs/inception_v4.py \
    --topology=v5e:2x4 --config.batch_norm=replica --largest_batch

libtpu compiles on any CPU: `make .venv-tpu/ready` makes an environment that has
it, and `make compile-check` compiles every ImageNet recipe. A full network
takes five minutes on two cores. The estimates are read from the compiled
program, which is never run. Its step time and MFU follow from the compiler's
cycle estimates, which leave out the operations in `not_estimated`. With
data.grow_from, it is the step for images of the full size, the largest.
"""

from importlib.metadata import version

from absl import flags
from ml_collections import config_flags

from inception_jax.aot import chips
from inception_jax.errors import UserError
from inception_jax.report import ledger
from inception_jax.runtime import cli

FLAGS = flags.FLAGS
_CONFIG = config_flags.DEFINE_config_file('config', None, 'The recipe.')
_TOPOLOGY = flags.DEFINE_string(
  'topology', 'v5e:2x4', 'Chip kind and slice shape, as v5e:16x16 or v4:4x4x4.'
)
_STEP = flags.DEFINE_enum(
  'step', 'train', ['train', 'eval'], 'The step to compile.'
)
_LARGEST = flags.DEFINE_bool(
  'largest_batch', False, 'Also find the largest batch: compiles twice or more.'
)
_LEDGER = cli.define_path('ledger', 'CSV file to append the result to.')


def main():
  """Compiles the step and returns its estimated cost."""
  config = _CONFIG.value
  if config is None:
    raise UserError('--config is missing, for example configs/inception_v4.py')

  import jax

  from inception_jax.aot import compile_step
  from inception_jax.aot import largest_batch

  config = compile_step.resolve(config, _TOPOLOGY.value, _STEP.value)
  kind, shape = chips.parse_topology(_TOPOLOGY.value)
  devices = chips.topology_devices(_TOPOLOGY.value)
  chip = chips.CHIPS[kind]
  # A step from the compilation cache would have no compile time.
  jax.config.update('jax_enable_compilation_cache', False)
  flops = compile_step.flops_per_image(config, _STEP.value)
  try:
    step = compile_step.compile_config(config, devices, _STEP.value)
  except compile_step.OutOfMemory as error:
    raise UserError(
      f'batch_size={config.batch_size} does not fit in the memory of '
      f'{_TOPOLOGY.value}: {error}; try --config.batch_size='
      f'{largest_batch.suggest_smaller(config, len(devices), error.ratio)}'
    ) from error
  result = {
    'config': FLAGS['config'].config_filename,
    'topology': _TOPOLOGY.value,
    'step': _STEP.value,
    'batch_norm': config.batch_norm,
    'remat': config.remat,
    'precision': config.precision,
    'batch_size': step.batch_size,
    **compile_step.analyze(step, flops, chip, shape),
    'largest_batch': None,
    'versions': {name: version(name) for name in ('jax', 'libtpu')},
  }
  if _LARGEST.value:
    result['largest_batch'] = largest_batch.find(
      config, devices, _STEP.value, chip, step
    )
  ledger.append(_LEDGER.value, result)
  return result


if __name__ == '__main__':
  cli.run(main)

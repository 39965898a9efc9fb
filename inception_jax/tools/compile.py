"""Compiles a training step for TPUs that are not there; says what it costs.

python -m inception_jax.tools.compile --config=configs/inception_v4.py \
    --topology=v5e:16x16

python -m inception_jax.tools.compile --config=configs/inception_v4.py \
    --topology=v5e:2x4 --config.batch_norm=replica --largest_batch

libtpu compiles, on any CPU: `make .venv-tpu/ready` makes an environment that
has it, and `make compile-check` compiles every ImageNet recipe. A full network
takes five minutes on two cores. What the program would do is read from its
text: nothing of it has been run, and `not_estimated` lists what the compiler's
cycles, and so the step's time and share of the peak, leave out.
"""

from importlib.metadata import version
import logging

from absl import flags
from ml_collections import config_flags

from inception_jax.aot import chips
from inception_jax.errors import UserError
from inception_jax.report import ledger
from inception_jax.runtime import cli

log = logging.getLogger(__name__)

FLAGS = flags.FLAGS

_CONFIG = config_flags.DEFINE_config_file('config', None, 'The recipe.')

_TOPOLOGY = flags.DEFINE_string(
  'topology', 'v5e:2x4', 'Chips and how they lie: v5e:16x16, v4:4x4x4.'
)

_STEP = flags.DEFINE_enum(
  'step', 'train', ['train', 'eval'], 'Which step is compiled.'
)

_LARGEST = flags.DEFINE_bool(
  'largest_batch', False, 'Also find the largest batch: two compiles or more.'
)

_LEDGER = flags.DEFINE_string('ledger', '', 'A CSV file to add a line to.')


def main():
  """Checks, compiles, reads."""
  config = _CONFIG.value
  if config is None:
    raise UserError('--config is missing, for example configs/inception_v4.py')

  import jax

  from inception_jax.aot import compile_step
  from inception_jax.aot import largest_batch

  config = compile_step.checked(config, _TOPOLOGY.value, _STEP.value)
  kind, shape = chips.parse(_TOPOLOGY.value)
  devices = chips.devices(_TOPOLOGY.value)
  chip = chips.CHIPS[kind]
  # What is in the cache takes no time to compile.
  jax.config.update('jax_enable_compilation_cache', False)
  flops = compile_step.flops_per_image(config, _STEP.value)
  try:
    step = compile_step.compiled(config, devices, _STEP.value)
  except compile_step.TooLarge as error:
    raise UserError(
      f'{config.batch_size} images do not fit in the memory of '
      f'{_TOPOLOGY.value}: {error}; --config.batch_size='
      f'{largest_batch.smaller(config, len(devices), error.times)} may'
    ) from error
  result = {
    'config': FLAGS['config'].config_filename,
    'topology': _TOPOLOGY.value,
    'step': _STEP.value,
    'batch_norm': config.batch_norm,
    'remat': config.remat,
    'precision': config.precision,
    'batch_size': step.images,
    **compile_step.measure(step, flops, chip, shape),
    'largest_batch': None,
    'versions': {name: version(name) for name in ('jax', 'libtpu')},
  }
  if _LARGEST.value:
    result['largest_batch'] = largest_batch.largest(
      config, devices, _STEP.value, chip, step
    )
  ledger.note(_LEDGER.value, result)
  return result


if __name__ == '__main__':
  cli.run(main)

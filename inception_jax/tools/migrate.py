"""Turns a YAML config of MindSpore or MindCV into a recipe.

  python -m inception_jax.tools.migrate inception_v3_ascend.yaml \
      --num_devices=8 [--output=FILE.py]

Configs of mindspore-ai/models' inceptionv3 and inceptionv4, and of MindCV's
inception_v3 and inception_v4. Every key is mapped, has no counterpart, which
changes nothing that is trained, or is refused. The recipe lists the latter two
in its docstring. Result: `recipe`, and the keys as `mapped`,
`without_counterpart` and `refused`. Exit status 1 if any is refused.
"""

import logging
import os

from absl import flags

from inception_jax.errors import UserError
from inception_jax.runtime import cli

_OUTPUT = cli.define_path(
  'output', 'The recipe; by default, the name of the YAML file with .py.'
)
_DEVICES = flags.DEFINE_integer(
  'num_devices',
  None,
  'Devices that it was written for: its batch_size is that of each.',
  lower_bound=1,
)

log = logging.getLogger(__name__)


def main(paths: list[str]):
  """Reads the file and writes the recipe."""
  from inception_jax.config.migration import migration as migration_lib
  from inception_jax.config.migration import mindcv
  from inception_jax.config.migration import mindspore
  from inception_jax.config.migration import yaml_file
  from inception_jax.runtime import files

  if len(paths) != 1:
    raise UserError('expected one YAML file')
  (path,) = paths
  name = os.path.splitext(os.path.basename(path))[0]
  output = _OUTPUT.value or f'{name}.py'
  if os.path.lexists(output):
    raise UserError(f'{output} exists; name another file by --output')
  try:
    content = files.read(path, yaml_file.MOST_BYTES)
  except OSError as error:
    reason = f'{path} cannot be read: {error.strerror}'
    raise UserError(reason) from error
  values = yaml_file.parse(content, path)
  for system in (mindspore, mindcv):
    if system.is_dialect(values):
      migration = system.migrate(values, _DEVICES.value)
      break
  else:
    raise UserError(
      f'{path} is neither a config of MindSpore (epoch_size, lr_max) nor of '
      'MindCV (model, scheduler)'
    )
  _check(migration)
  with files.atomic_path(output) as unfinished:
    with open(unfinished, 'x', encoding='utf-8') as file:
      file.write(
        migration_lib.recipe(migration, os.path.basename(path), output)
      )
  for key in sorted(migration.refused):
    log.warning('refused: %s', migration_lib.describe(migration, key))
  if not _DEVICES.value:
    log.info(
      'batch_size is that of one device; if there were eight: --num_devices=8'
    )
  return {
    'recipe': output,
    'mapped': {path: value for path, (value, _) in migration.mapped.items()},
    'without_counterpart': migration.dropped,
    'refused': migration.refused,
  }


def _check(migration) -> None:
  """Raises if the recipe would not be accepted, whatever its data is."""
  from inception_jax.config import durations
  from inception_jax.config import recipes
  from inception_jax.config import validation
  from inception_jax.training import optimizer
  from inception_jax.training import schedules

  config = recipes.get_config(migration.base)
  config.update_from_flattened_dict(
    {path: value for path, (value, _) in migration.mapped.items()}
  )
  faults = [
    fault
    for module in (validation, durations, optimizer, schedules)
    for fault in module.check(config)
  ]
  if faults:
    raise UserError(*faults)


if __name__ == '__main__':
  cli.run(main, lambda result: bool(result['refused']), takes_paths=True)

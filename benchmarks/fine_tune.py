"""Compares training steps with frozen layers with the forward pass."""

from collections.abc import Sequence

import numpy as np
import optax

from benchmarks import step as step_lib
from benchmarks import timing
from inception_jax.distributed import sharding
from inception_jax.errors import UserError
from inception_jax.models import factory
from inception_jax.models.architectures import ARCHITECTURES
from inception_jax.training.trainer import Trainer

_CLASSES = 10
_STEPS = 5  # a turn
_CACHED = 'head on cached features'


def measure(config, rounds: int, trained: Sequence[str] = ()) -> list[dict]:
  """Alternates the forward pass and a training step for each set of layers.

  All get the same random batch, which is already on the device; the classifier
  on cached features gets features in place of images. The forward pass is the
  evaluation's: no augmentation, moving statistics.

  Args:
    trained: the sets to measure, by the 'trained' of their rows; (): all.

  Returns:
    A row for each set of layers, with medians: 'times_forward', the images per
    second of its training step relative to the forward pass; 'images_per_sec';
    'memory_gb', what the compiled step needs on a device; 'compile_seconds',
    what its compilation took.

  Raises:
    UserError: `trained` has a set that there is not.
  """
  config.data.source = 'synthetic'
  config.model.num_classes = config.model.num_classes or _CLASSES
  classes = config.model.num_classes
  last, _ = ARCHITECTURES[config.model.name].body[-1]
  frozen = {
    _CACHED: ('!head', '*'),
    'head': ('!head', '*'),
    f'head and {last}': ('!head', f'!{last}', '*'),
    'all': (),
  }
  if unknown := set(trained) - set(frozen):
    names = ','.join(sorted(unknown))
    raise UserError(f'--trained={names}: expected some of {", ".join(frozen)}')
  frozen = {name: frozen[name] for name in trained or frozen}
  runs, memory = {}, {}
  for name, freeze in frozen.items():
    config.fine_tune.freeze = freeze
    config.fine_tune.cache_features = name == _CACHED
    resolved = factory.resolve(config)
    functions = step_lib.step_functions(resolved, classes)
    runs[name] = functions['train']
    memory[name] = _memory(resolved, classes)
  runs['forward'] = functions['inference']
  first = {name: timing.seconds(run, 1) for name, run in runs.items()}
  seconds = timing.alternate(
    {
      name: lambda run=run: timing.seconds(run, _STEPS) / _STEPS
      for name, run in runs.items()
    },
    rounds,
  )
  alone = seconds.pop('forward')
  return [
    {
      'what': 'fine_tune',
      'trained': name,
      'times_forward': timing.median(alone / taken, 3),
      'images_per_sec': timing.median(config.batch_size / taken, 2),
      'memory_gb': memory[name],
      'network': config.model.name,
      'image_size': config.data.image_size,
      'batch_size': config.batch_size,
      'precision': config.precision,
      'compile_seconds': round(first[name] - float(np.median(taken)), 1),
    }
    for name, taken in seconds.items()
  ]


def _memory(config, classes: int) -> float:
  trainer = Trainer(
    config, sharding.make_mesh(), classes, optax.constant_schedule(1e-4)
  )
  analysis = trainer.lower().compile().memory_analysis()
  used = analysis.argument_size_in_bytes + analysis.temp_size_in_bytes
  return round(used / 1e9, 3)

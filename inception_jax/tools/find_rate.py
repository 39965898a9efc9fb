"""Suggests a learning rate by a learning-rate range test (Smith 2017).

python -m inception_jax.tools.find_rate --config=configs/NAME.py --output=DIR

Trains while the learning rate rises exponentially, and writes rates.csv and
rates.png to DIR; the trained weights are discarded. Suggests the rate at which
the loss falls most steeply, as `schedule.learning_rate` of the same config: it
depends on batch size, optimizer, augmentation and precision.
"""

import csv
import functools
import logging
import os
import time

from absl import flags
import jax
from ml_collections import config_flags
import numpy as np
import optax

from inception_jax import extras
from inception_jax.data import balance
from inception_jax.data import pipeline
from inception_jax.data.sources import registry
from inception_jax.distributed import sharding
from inception_jax.errors import UserError
from inception_jax.models import factory
from inception_jax.runtime import cli
from inception_jax.runtime import device_flags
from inception_jax.runtime import files
from inception_jax.training import preflight
from inception_jax.training import train_state
from inception_jax.training.trainer import Trainer
from inception_jax.weights import pretrained

log = logging.getLogger(__name__)

flags.adopt_module_key_flags(device_flags)
_CONFIG = config_flags.DEFINE_config_file('config', None, 'The recipe.')
_OUTPUT = cli.define_path('output', 'The folder for rates.csv and rates.png.')
_STEPS = flags.DEFINE_integer(
  'steps', 100, 'The most steps to train.', lower_bound=10
)
_LOWEST = flags.DEFINE_float('lowest', 1e-6, 'The first learning rate.')
_HIGHEST = flags.DEFINE_float('highest', 10.0, 'The last learning rate.')

_LOG_SECONDS = 5
_PROGRESS = 'learning rate %.2g  loss %.4f  step %d of at most %d, %.0f s left'
_SMOOTHING = 0.9
# Training has diverged when the loss exceeds this multiple of its lowest.
_DIVERGED = 4.0


def main():
  """Runs the range test and writes its results."""
  config, output = _CONFIG.value, _OUTPUT.value
  faults = []
  if config is None:
    faults.append('--config is missing, for example configs/digits.py')
  if not output:
    faults.append('--output is missing: name the folder for the results')
  faults += extras.missing('matplotlib')
  if not 0 < _LOWEST.value < _HIGHEST.value:
    faults.append('--lowest and --highest: expected 0 < lowest < highest')
  if faults:
    raise UserError(*faults)

  devices = device_flags.choose()
  preflight.check(config, output, train=True, num_devices=len(devices))
  cli.use_compilation_cache()
  mesh = sharding.make_mesh(devices)
  rates, losses = sweep(
    config, mesh, _STEPS.value, _LOWEST.value, _HIGHEST.value
  )
  smooth = moving_average(losses)
  best = steepest(rates, smooth)
  table, plot = (os.path.join(output, f'rates.{end}') for end in ('csv', 'png'))
  written = functools.partial(files.atomic_path, replace=True)
  with written(table) as path, open(path, 'w') as file:
    lines = zip(rates, losses, smooth, strict=True)
    csv.writer(file).writerows([('learning_rate', 'loss', 'smoothed'), *lines])
  with written(plot) as path:
    _plot(path, rates, losses, smooth, best)
  if best is None:
    log.warning('the loss never fell, so no learning rate is suggested')
  # `schedule.learning_rate` is for a batch of `schedule.batch_size`, if set.
  batch = config.schedule.batch_size
  scale = config.batch_size / batch if batch else 1.0
  return {
    'learning_rate': best and best / scale,
    'rate_of_lowest_loss': rates[int(np.argmin(smooth))],
    'last_rate': rates[-1],
    'steps': len(rates),
    'plot': plot,
  }


def sweep(config, mesh, steps: int, lowest: float, highest: float):
  """Trains with a learning rate that rises by a constant factor per step.

  Returns:
    The rates and each one's mean batch loss, up to where training diverges.

  Raises:
    UserError: the loss is not finite after fewer than two steps.
  """
  config, weights = pretrained.resolve_for_training(config, '', mesh)
  config.ema_decay = 0.0  # the moving average would not be used
  config.fine_tune.cache_features = False  # a few steps read few images
  split = registry.load(config, config.data.train_split)
  balance.check(config.data, split)
  num_classes = factory.num_classes(config, split.class_names)
  schedule = optax.exponential_decay(lowest, steps - 1, highest / lowest)
  weights_of_classes = balance.class_weights(config.data, split, num_classes)
  trainer = Trainer(config, mesh, num_classes, schedule, weights_of_classes)
  state = train_state.fine_tune(trainer.init(), weights, split.class_names)
  rows = sharding.host_rows(config.batch_size)
  batches = pipeline.train_batches(split, config, 0, rows)
  batches = sharding.prefetch_to_devices(mesh, batches)
  train_step = trainer.compile()
  rates, losses = [], []
  started = logged = time.perf_counter()
  for i in range(1, steps + 1):
    state, sums = train_step(state, next(batches))
    sums = jax.device_get(sums)
    loss = float(sums['loss'] / sums['count']) if sums['count'] else np.nan
    if not np.isfinite(loss):
      break
    rates.append(float(sums['learning_rate']))
    losses.append(loss)
    smooth = moving_average(losses)
    if smooth[-1] > _DIVERGED * min(smooth):
      break
    if (now := time.perf_counter()) - logged > _LOG_SECONDS:
      logged, left = now, (now - started) / i * (steps - i)
      log.info(_PROGRESS, rates[-1], loss, i, steps, left)
  if len(losses) < 2:
    raise UserError(
      f'the loss is not finite at rates from {lowest:g}: use a lower --lowest'
    )
  return rates, losses


def moving_average(losses: list[float]) -> list[float]:
  """Returns the bias-corrected exponential moving average."""
  mean, result = 0.0, []
  for i, loss in enumerate(losses, 1):
    mean = _SMOOTHING * mean + (1 - _SMOOTHING) * loss
    result.append(mean / (1 - _SMOOTHING**i))
  return result


def steepest(rates: list[float], smooth: list[float]) -> float | None:
  """Returns the rate of the steepest loss decrease; None if it never falls."""
  slopes = np.gradient(smooth, np.log(rates))
  at = int(np.argmin(slopes))
  return rates[at] if slopes[at] < 0 else None


def _plot(path, rates, losses, smooth, best) -> None:
  with extras.imports():
    import matplotlib

    matplotlib.use('agg')  # no display
    import matplotlib.pyplot as plt

  figure, axes = plt.subplots(figsize=(8, 5))
  axes.semilogx(rates, losses, color='lightgrey', label='batch loss')
  axes.semilogx(rates, smooth, label='moving average')
  if best is not None:
    axes.axvline(best, color='tab:red', label=f'steepest: {best:.2g}')
  axes.set(xlabel='learning rate', ylabel='training loss')
  axes.set_ylim(0.9 * min(smooth), 1.1 * max(smooth[0], min(smooth) * 1.5))
  axes.legend()
  figure.savefig(path, format='png', dpi=120)
  plt.close(figure)


if __name__ == '__main__':
  cli.run(main)

"""Throughput and metrics of a training, logged as it proceeds."""

import dataclasses
import logging
import time

import jax

from inception_jax import metrics
from inception_jax.config import durations
from inception_jax.runtime import progress_bar

log = logging.getLogger(__name__)

# Shorter waits, as at the start of a training, cause no warning.
WARN_SECONDS = 2.0


class Progress:
  """Counts images and seconds; logs the metrics, throughput and time left.

  Only training steps and the wait for their data count: compilation,
  evaluation and saving do not lower the throughput.
  """

  def __init__(
    self, plan: durations.Plan, batch_size: int, check, start: int = 0
  ):
    """Starts the progress bar.

    Args:
      plan: of the training.
      batch_size: images per step.
      check: called with each step and its metrics, in order, before they are
        used; raises if the training diverged.
      start: steps done before.
    """
    self._plan, self._batch_size, self._check = plan, batch_size, check
    self._bar = progress_bar.progress_bar(
      plan.total, 'training', 'steps', start
    )
    self._whole = _Clock()
    self._begin_interval()

  def _begin_interval(self):
    self._interval, self._sums, self._checked = _Clock(), [], 0

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self._bar.close()

  def next(self, batches):
    """Returns the next batch; the time it takes counts as waiting."""
    self._started = time.perf_counter()
    batch = next(batches)
    self._fetched = time.perf_counter()
    return batch

  def add(self, sums: dict[str, jax.Array]) -> None:
    """Counts the step just dispatched, whose metrics will be `sums`."""
    self._sums.append(sums)
    # The devices may be one step behind, so that they never wait for the host,
    # but not more, so that batches do not accumulate in their memory.
    if len(self._sums) > 1:
      jax.block_until_ready(self._sums[-2])
    now = time.perf_counter()
    for clock in (self._interval, self._whole):
      clock.images += self._batch_size
      clock.waited += self._fetched - self._started
      clock.seconds += now - self._started
    self._bar.update()

  @property
  def images_per_sec(self) -> float:
    """Throughput of the whole training in this process."""
    return self._whole.images_per_sec

  @property
  def seconds(self) -> tuple[float, float]:
    """Those of this process's steps; of these, those of waiting for data."""
    return self._whole.seconds, self._whole.waited

  def check_divergence(self, step: int) -> list[dict]:
    """Waits for all steps up to `step`, and checks them.

    Returns:
      The metrics of each step since the last report.

    Raises:
      FloatingPointError: training diverged.
    """
    started = time.perf_counter()
    new = jax.device_get(self._sums[self._checked :])
    for i, sums in enumerate(new, step - len(new) + 1):
      self._check(i, sums)
    self._sums[self._checked :] = new
    self._checked = len(self._sums)
    for clock in (self._interval, self._whole):
      clock.seconds += time.perf_counter() - started
    return self._sums

  def report(self, step: int) -> dict[str, float]:
    """Logs and returns the metrics of the steps since the last report.

    Raises:
      FloatingPointError: training diverged.
    """
    sums = self.check_divergence(step)
    values = metrics.means(metrics.add(sums))
    for key in ('learning_rate', 'grad_norm', 'param_norm'):
      values[key] = float(sums[-1][key])
    if 'loss_scale' in sums[-1]:
      values['loss_scale'] = float(sums[-1]['loss_scale'])
      values['skipped'] = int(sum(s['skipped'] for s in sums))
    self.norms = sums[-1]['norms']
    values['images_per_sec'] = self._interval.images_per_sec
    seconds = self._batch_size / self._interval.images_per_sec
    values['ms_per_step'] = 1000 * seconds
    values['sec_per_epoch'] = seconds * float(self._plan.steps_per_epoch)
    waited = self._interval.waited
    values['data_wait'] = waited / self._interval.seconds
    self._begin_interval()
    plan = self._plan
    log.info(
      'epoch %.2f of %.2f  step %d of %d  loss %.4f  top1 %.4f  '
      'rate %.3g  %.1f images/s  %.1f ms/step  %s/epoch  data_wait %.0f %%  '
      '%s of training left',
      step / plan.steps_per_epoch,
      plan.total / plan.steps_per_epoch,
      step,
      plan.total,
      values['loss'],
      values['top1'],
      values['learning_rate'],
      values['images_per_sec'],
      values['ms_per_step'],
      progress_bar.format_duration(values['sec_per_epoch']),
      100 * values['data_wait'],
      progress_bar.format_duration(
        (plan.total - step) * self._batch_size / self.images_per_sec
      ),
    )
    if values.get('skipped'):
      log.warning(
        '%d of %d steps were skipped, since gradients overflowed at a loss '
        'scale of %g; if that goes on, --config.loss_scale=0 adapts it, and '
        '--config.precision=bfloat16 needs none',
        *(values['skipped'], len(sums), values['loss_scale']),
      )
    if values['data_wait'] > 0.1 and waited > WARN_SECONDS:
      log.warning(
        'training waits for data %.0f %% of its time: the input pipeline is '
        'slower than the devices',
        100 * values['data_wait'],
      )
    return values


@dataclasses.dataclass
class _Clock:
  """Images trained on, and the seconds of training and of waiting for data."""

  images: int = 0
  seconds: float = 0.0
  waited: float = 0.0

  @property
  def images_per_sec(self) -> float:
    return self.images / self.seconds

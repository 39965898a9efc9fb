"""Exact evaluation: every image once, at any batch size and device count."""

import logging
import time

import jax

from inception_jax import metrics
from inception_jax import models
from inception_jax import pretrained
from inception_jax import sharding
from inception_jax import steps
from inception_jax.config import UserError
from inception_jax.data import pipeline
from inception_jax.data import sources
from inception_jax.data.bad_images import BadImages

log = logging.getLogger(__name__)

LOG_SECONDS = 5


class Evaluator:
  """Evaluates a network on one split, as often as asked; compiles once."""

  def __init__(
    self,
    config,
    model,
    split,
    mesh: jax.sharding.Mesh,
    workdir: str = '',
    between=lambda: None,
  ):
    """Plans it; `between` is called before each batch, and may raise."""
    self._config, self._split, self._mesh = config, split, mesh
    self._between = between
    self._bad = BadImages(split, config, workdir)
    self._step = jax.jit(
      steps.make_eval_step(config, model),
      in_shardings=(sharding.replicated(mesh), sharding.batch(mesh)),
      out_shardings=sharding.replicated(mesh),
    )

  def __call__(self, variables) -> dict[str, float]:
    """Returns loss, top1, top5 over `count` images.

    `count` is all of them but those that cannot be decoded.
    """
    start = logged = time.perf_counter()
    # A small split needs no more memory than it has images.
    most = min(self._config.batch_size, self._split.size)
    batch_size = sharding.round_up(most, self._mesh)
    batches = pipeline.eval_batches(
      self._split,
      self._config,
      batch_size,
      sharding.host_rows(batch_size),
      self._bad,
    )
    total = pipeline.num_eval_batches(self._split, batch_size)
    sums = []
    for i, rows in enumerate(batches, 1):
      self._between()
      sums.append(self._step(variables, sharding.to_global(self._mesh, rows)))
      # Not further ahead than one batch, or all of them wait in memory.
      jax.block_until_ready(sums[max(0, i - 2)])
      if i < total and time.perf_counter() - logged > LOG_SECONDS:
        logged = time.perf_counter()
        left = (logged - start) * (total - i) / i
        log.info(
          'evaluated %d of %d batches, %s left',
          i,
          total,
          metrics.duration(left),
        )
    result = metrics.means(metrics.add(jax.device_get(sums)))
    left_out = self._split.size - result['count']
    # Other processes have bad images of their own.
    if left_out < len(bad := self._bad.substitutes) or (
      jax.process_count() == 1 and left_out > len(bad)
    ):
      raise RuntimeError(
        f'evaluated {result["count"]} images of {self._split.size}'
      )
    if left_out:
      log.warning(
        '%d of %d images cannot be decoded and do not count',
        left_out,
        self._split.size,
      )
    return result


def evaluate(
  config, workdir: str, mesh, which: str = 'latest'
) -> dict[str, float]:
  """Restores a checkpoint of `workdir` and evaluates `data.eval_split`.

  Args:
    config: the whole config.
    workdir: of the run.
    mesh: the devices.
    which: 'latest', 'best', a step, or the path of a checkpoint.

  Returns:
    {'step', 'loss', 'top1', 'top5', 'count'}.

  Raises:
    UserError: no such checkpoint, or one of another network.
  """
  step, weights = pretrained.of_checkpoint(
    workdir, which, mesh, ema=bool(config.ema_decay), config=config
  )
  config = pretrained.resolve(config, weights)
  split = sources.load(config, config.data.eval_split)
  num_classes = models.num_classes(config, split.class_names)
  if num_classes != (stored := weights.model['num_classes']):
    raise UserError(
      f'{weights.origin} tells {stored} classes apart, {config.data.source} '
      f'has {len(split.class_names)}: set --config.model.num_classes'
    )
  model = models.build(config, num_classes)
  result = Evaluator(config, model, split, mesh)(weights.variables)
  return {'step': step, **result}

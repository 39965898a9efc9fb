"""What a training reads: images, or the features of a frozen network.

With `fine_tune.cache_features`, the pooled features of all images are computed
before the first step and kept in the workdir. Batches and evaluations then take
them from memory, in the same order, and run the classifier alone.
"""

from collections.abc import Iterator
import functools
import json
import os

import jax
import numpy as np

from inception_jax.checkpointing import digests
from inception_jax.data import pipeline
from inception_jax.data.bad_images import BadImages
from inception_jax.distributed import sharding
from inception_jax.errors import UserError
from inception_jax.evaluation import features
from inception_jax.evaluation.evaluator import Evaluator
from inception_jax.evaluation.feature_evaluator import FeatureEvaluator
from inception_jax.evaluation.feature_store import FeatureStore
from inception_jax.training import caching
from inception_jax.training.restore import Start
from inception_jax.training.run import Run

FOLDER = 'features'  # of a workdir
_FORMAT = 1  # of the features; another number, and they are computed again


def open_feed(run: Run, start: Start) -> tuple[Iterator, Evaluator]:
  """Returns the batches of the steps after `start`, and the evaluator.

  Batches are this process's rows: {'image' or 'features', 'label'}.

  Raises:
    UserError: features are cached, and images cannot be read, or see
      `check_average`.
  """
  config, rows = run.config, sharding.host_rows(run.config.batch_size)
  if not config.fine_tune.cache_features:
    bad = BadImages(run.split, config.data, run.workdir)
    batches = pipeline.train_batches(run.split, config, start.step, rows, bad)
    return batches, run.evaluator
  if start.state.ema is not None:
    check_average(start.state, run.mesh)
  evaluated = _features(run, start, 'eval')
  evaluator = FeatureEvaluator(
    config, run.trainer.model, run.eval_split, run.mesh, evaluated
  )
  if start.step >= run.plan.total:
    return iter(()), evaluator
  trained = _features(run, start, 'train')
  positions = pipeline.view_positions(run.split, config, start.step, rows)
  return _gather(trained, positions), evaluator


def _features(run: Run, start: Start, role: str) -> np.ndarray:
  """Returns a `feature_store.row_type` for each view of a split's images."""
  config, variables = run.config, start.state.variables(ema=False)
  if role == 'train':
    split, images = run.split, run.data['images to train on']
    views = config.fine_tune.cached_views
    forward = features.make_view_forward(config, run.trainer.model)
  else:
    split, images = run.eval_split, run.data['images to evaluate on']
    views = 1
    of_images = features.make_forward(config, run.trainer.model)
    forward = lambda variables, batch: of_images(variables, batch['image'])
  facts = {
    'format': _FORMAT,
    'role': role,
    'weights': digests.of_tree(_body(variables)),
    'network': run.network,
    'precision': config.precision,
    'images': images,
    'max_pixels': config.data.max_pixels,
  }
  if views > 1:
    facts |= {
      'views': views,
      'seed': config.seed,
      'data': {
        key: value
        for key, value in json.loads(config.data.to_json()).items()
        if key != 'dir' and not key.startswith('eval_')
      },
    }
  bad = BadImages(split, config.data, run.workdir)
  store = FeatureStore(os.path.join(run.workdir, FOLDER), role, facts)
  return store.load_or_compute(
    *(config, forward, variables, split.size * views),
    *(caching.width(variables['params']), run.mesh),
    functools.partial(_batches, split, config, bad, role),
  )


def check_average(state, mesh) -> None:
  """Raises a UserError if the moving average has other frozen layers.

  Evaluations of the average use the same features. The averages of equal values
  may differ from them by rounding.
  """
  average = _body(sharding.replicate(mesh, state.ema))
  same = jax.tree.map(
    lambda x, y: np.allclose(x, y, rtol=1e-4, atol=1e-6),
    *(_body(state.variables(ema=False)), average),
  )
  if not all(jax.tree.leaves(same)):
    raise UserError(
      'fine_tune.cache_features: the moving average of the frozen layers '
      'differs from their weights, since they were trained in this run; start '
      'a new one with this one as --config.fine_tune.checkpoint'
    )


def _body(variables):
  return {
    kind: {name: x for name, x in tree.items() if name != 'head'}
    for kind, tree in variables.items()
  }


def _batches(split, config, bad, role: str, start_step: int, batch_size: int):
  rows = sharding.host_rows(batch_size)
  if role == 'train':
    return pipeline.view_batches(
      split, config, start_step, batch_size, rows, bad
    )
  return pipeline.eval_batches(
    split, config.data, batch_size, rows, bad, start_step=start_step
  )


def _gather(table: np.ndarray, positions: Iterator[np.ndarray]) -> Iterator:
  for own in positions:
    rows = table[own]
    yield {
      key: np.ascontiguousarray(rows[key]) for key in ('features', 'label')
    }

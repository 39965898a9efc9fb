"""The training loop."""

import json
import logging

from etils import epath
from flax import traverse_util
import jax

from inception_jax import checkpoint
from inception_jax import config as config_lib
from inception_jax import fine_tune
from inception_jax import metrics
from inception_jax import models
from inception_jax import plan as plan_lib
from inception_jax import pretrained
from inception_jax import runs
from inception_jax import schedules
from inception_jax import sharding
from inception_jax import state as state_lib
from inception_jax.data import pipeline
from inception_jax.data import sources
from inception_jax.data.bad_images import BadImages
from inception_jax.evaluate import Evaluator
from inception_jax.evaluate import evaluate
from inception_jax.guard import Guard
from inception_jax.models import card
from inception_jax.trainer import Trainer

log = logging.getLogger(__name__)


def train(config, workdir: str, mesh: jax.sharding.Mesh) -> dict[str, float]:
  """Trains to the end, from the newest checkpoint in `workdir` if it has one.

  Args:
    config: the whole config, checked.
    workdir: gets config.json, parameters.txt, metrics.jsonl, checkpoints/,
      TensorBoard events, and bad_images.txt where there are any.
    mesh: the devices; the batch is split over them.

  Returns:
    The last evaluation {'step', 'loss', 'top1', 'top5', 'count'}, with
    'images_per_sec' of the training alone.

  Raises:
    UserError: what only the data or the checkpoint can show to be wrong.
    FloatingPointError: it is no longer one of numbers; says since when.
  """
  # What is to be trained, and how. Nothing is written before all of it has
  # proved to be there.
  config, weights = pretrained.begin(config, workdir, mesh)
  split = sources.load(config, config.data.train_split)
  eval_split = sources.load(config, config.data.eval_split)
  num_classes = models.num_classes(config, split.class_names)
  about = models.about(models.describe(config, num_classes), card.of(config))
  plan = plan_lib.plan(config, split.size)
  trainer = Trainer(config, mesh, num_classes, schedules.schedule(config, plan))
  evaluator = Evaluator(config, trainer.model, eval_split, mesh, workdir)

  folder = runs.folder(workdir)
  with checkpoint.Checkpoints(folder, config.checkpoint_keep) as checkpoints:
    start = checkpoints.latest_step() or 0
    if start:
      _warn_of_changes(config, workdir)
    stored = checkpoints.metrics(start) if start else {}
    if start >= plan.total or _reached(config, stored):
      log.info('%s is complete: step %d of %d', workdir, start, plan.total)
      # Its last checkpoint may have been meant as one on the way.
      scores = stored or {
        **evaluate(config, workdir, mesh),
        'images_per_sec': None,
      }
      return {'step': start, **scores}

    state = checkpoints.restore_or(
      lambda: fine_tune.begin(trainer.init(), weights), trainer.abstract
    )
    best = checkpoints.best_score()
    _keep(workdir, 'config.json', config_lib.to_json(config))
    _keep(workdir, 'parameters.txt', metrics.overview(trainer.abstract.params))
    _announce(config, mesh, split, plan, state)

    # The data and the step; both pick up where `start` says.
    rows = sharding.host_rows(config.batch_size)
    bad = BadImages(split, config, workdir)
    batches = pipeline.train_batches(split, config, start, rows, bad)
    batches = sharding.on_devices(mesh, batches)
    train_step = trainer.compile()

    guard = Guard(
      trainer.model, config, trainer.abstract, checkpoints.last_good
    )
    progress = metrics.Progress(plan, config.batch_size, guard.check)
    with metrics.Writer(workdir) as writer:
      for step in range(start + 1, plan.total + 1):
        state, sums = train_step(state, progress.next(batches))
        progress.add(sums)
        scores = {}
        if plan.due(plan.log_every, step):
          writer.write(step, 'train', progress.report(step))
          writer.curves(step, guard.curves(progress.health))
        if plan.due(plan.histogram_every, step):
          writer.histograms(
            step, traverse_util.flatten_dict(state.params, sep='/')
          )
        if plan.due(plan.eval_every, step):
          progress.settle(step)
          scores = _evaluate(config, evaluator, state, step, writer)
          scores['images_per_sec'] = progress.images_per_sec
          writer.evaluation(step, scores)
        is_best = scores and scores['top1'] > best
        reached = _reached(config, scores)
        if is_best or reached or plan.due(plan.checkpoint_every, step):
          progress.settle(step)
          checkpoints.save(state, scores, about)
        best = scores['top1'] if is_best else best
        if reached:
          log.info('step %d reaches stop_at_top1=%s', step, config.stop_at_top1)
          break
  return {'step': step, **scores}


def _evaluate(config, evaluator, state, step, writer):
  """Scores of the moving average; where there is one, the raw beside it."""
  if config.ema_decay:
    raw = evaluator(state.variables(ema=False))
    writer.evaluation(step, raw, raw=True)
  return evaluator(state.variables(ema=bool(config.ema_decay)))


def _reached(config, scores) -> bool:
  """Whether an evaluation is as good as was asked for."""
  return bool(config.stop_at_top1) and (
    scores.get('top1', 0) >= config.stop_at_top1
  )


def _announce(config, mesh, split, plan, state):
  """Says what is about to happen."""
  log.info(
    '%s, %.2f M parameters, %s, on %d %s device(s)',
    config.model.name,
    state_lib.num_params(state.params) / 1e6,
    config.precision,
    mesh.size,
    mesh.devices.flat[0].platform,
  )
  log.info(
    '%s: %d images of %d classes; %d steps of %d images, %.2f epochs',
    config.data.source,
    split.size,
    len(split.class_names),
    plan.total,
    config.batch_size,
    plan.total / plan.steps_per_epoch,
  )
  if step := int(state.step):
    log.info('resuming after step %d of %d', step, plan.total)


def _warn_of_changes(config, workdir):
  """Names each key that is no longer as the run began."""
  path = epath.Path(workdir) / 'config.json'
  try:
    stored = json.loads(path.read_text())
  except (OSError, ValueError):
    log.warning('%s cannot be read: changed keys go unnoticed', path)
    return
  for change in config_lib.changes(stored, config):
    log.warning('not as this run began: %s', change)


def _keep(workdir, name, text):
  """Writes a file of the run, whole or not at all."""
  if jax.process_index() == 0:
    path = epath.Path(workdir) / name
    unfinished = path.with_name(f'{name}.unfinished')
    unfinished.write_text(text)
    unfinished.replace(path)

"""The training loop."""

import json
import logging
import time

from etils import epath
import jax

from inception_jax import checkpoint
from inception_jax import config as config_lib
from inception_jax import fine_tune
from inception_jax import metrics
from inception_jax import models
from inception_jax import optim
from inception_jax import pretrained
from inception_jax import runs
from inception_jax import schedules
from inception_jax import sharding
from inception_jax import state as state_lib
from inception_jax import steps
from inception_jax.data import pipeline
from inception_jax.data import sources
from inception_jax.data.bad_images import BadImages
from inception_jax.evaluate import Evaluator
from inception_jax.evaluate import evaluate
from inception_jax.models import card

log = logging.getLogger(__name__)


def train(config, workdir: str, mesh: jax.sharding.Mesh) -> dict[str, float]:
  """Trains to the end, from the newest checkpoint in `workdir` if it has one.

  Args:
    config: the whole config, checked.
    workdir: gets config.json, metrics.jsonl, checkpoints/, TensorBoard events,
      and bad_images.txt where there are any.
    mesh: the devices; the batch is split over them.

  Returns:
    The last evaluation {'step', 'loss', 'top1', 'top5', 'count'}, with
    'images_per_sec' of the training alone.

  Raises:
    UserError: what only the data or the checkpoint can show to be wrong.
  """
  # What is to be trained, and how. Nothing is written before all of it has
  # proved to be there.
  config, weights = pretrained.begin(config, workdir, mesh)
  split = sources.load(config, config.data.train_split)
  eval_split = sources.load(config, config.data.eval_split)
  num_classes = models.num_classes(config, split.class_names)
  model = models.build(config, num_classes)
  about = models.about(models.describe(config, num_classes), card.of(config))
  plan = config_lib.plan(config, split.size)
  rate = schedules.schedule(config, plan)
  tx = optim.optimizer(config, rate)
  evaluator = Evaluator(config, model, eval_split, mesh, workdir)

  folder = runs.folder(workdir)
  with checkpoint.Checkpoints(folder, config.checkpoint_keep) as checkpoints:
    start = checkpoints.latest_step() or 0
    if start:
      _warn_of_changes(config, workdir)
    if start >= plan.total:
      log.info('%s is complete: step %d of %d', workdir, start, plan.total)
      # Its last checkpoint may have been meant as one on the way.
      scores = checkpoints.metrics(start) or {
        **evaluate(config, workdir, mesh),
        'images_per_sec': None,
      }
      return {'step': start, **scores}

    # Nothing is made before its sharding is known.
    init = state_lib.init_fn(config, model, tx)
    abstract = state_lib.abstract(init, mesh)
    if faults := optim.uncovered(config, abstract.params):
      raise config_lib.UserError(*faults)
    shardings = jax.tree.map(lambda x: x.sharding, abstract)
    init = state_lib.jit_init(init, shardings)
    state = checkpoints.restore_or(
      lambda: fine_tune.begin(init(), weights), abstract
    )
    best = checkpoints.best_score()
    _keep_config(config, workdir)
    _announce(config, mesh, split, plan, state)

    # The data and the step; both pick up where `start` says.
    rows = sharding.host_rows(config.batch_size)
    bad = BadImages(split, config, workdir)
    batches = pipeline.train_batches(split, config, start, rows, bad)
    batches = sharding.on_devices(mesh, batches)
    train_step = jax.jit(
      steps.make_train_step(config, model, tx, rate),
      in_shardings=(shardings, sharding.batch(mesh)),
      out_shardings=(shardings, sharding.replicated(mesh)),
      donate_argnums=0,
    )
    train_step = _compile(train_step, abstract, config, mesh)

    progress = metrics.Progress(plan, config.batch_size)
    with metrics.Writer(workdir) as writer:
      for step in range(start + 1, plan.total + 1):
        state, sums = train_step(state, progress.next(batches))
        progress.add(sums)
        scores = {}
        if plan.due(plan.log_every, step):
          writer.write(step, 'train', progress.report(step))
        if plan.due(plan.eval_every, step):
          scores = evaluator(state.variables(ema=bool(config.ema_decay)))
          scores['images_per_sec'] = progress.images_per_sec
          writer.evaluation(step, scores)
        is_best = scores and scores['top1'] > best
        if is_best or plan.due(plan.checkpoint_every, step):
          checkpoints.save(state, scores, about)
        best = scores['top1'] if is_best else best
  return {'step': plan.total, **scores}


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


def _keep_config(config, workdir):
  """Writes config.json, whole or not at all."""
  if jax.process_index() == 0:
    path = epath.Path(workdir) / 'config.json'
    unfinished = path.with_suffix('.json.unfinished')
    unfinished.write_text(config_lib.to_json(config))
    unfinished.replace(path)


def _compile(train_step, abstract, config, mesh):
  """Compiles ahead of the first batch, and says what the step will need."""
  log.info('compiling the training step; a full network may take minutes')
  start = time.perf_counter()
  batch = pipeline.train_batch_spec(config)
  batch = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(
      x.shape, x.dtype, sharding=sharding.batch(mesh)
    ),
    batch,
  )
  compiled = train_step.lower(abstract, batch).compile()
  memory = compiled.memory_analysis()
  log.info(
    'compiled in %s; a device needs %.2f GB',
    metrics.duration(time.perf_counter() - start),
    (memory.argument_size_in_bytes + memory.temp_size_in_bytes) / 1e9,
  )
  return compiled

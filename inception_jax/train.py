"""The training loop."""

import logging
import time

from etils import epath
import jax

from inception_jax import checkpoint
from inception_jax import config as config_lib
from inception_jax import metrics
from inception_jax import models
from inception_jax import optim
from inception_jax import sharding
from inception_jax import state as state_lib
from inception_jax import steps
from inception_jax.data import pipeline
from inception_jax.data import sources
from inception_jax.evaluate import Evaluator

log = logging.getLogger(__name__)


def train(config, workdir: str, mesh: jax.sharding.Mesh) -> dict[str, float]:
  """Trains to the end, from the newest checkpoint in `workdir` if it has one.

  Args:
    config: the whole config, checked.
    workdir: gets config.json, metrics.jsonl, checkpoints/, TensorBoard events.
    mesh: the devices; the batch is split over them.

  Returns:
    The last evaluation {'step', 'loss', 'top1', 'top5', 'count'}, with
    'images_per_sec' of the training alone.

  Raises:
    UserError: what only the data or the checkpoint can show to be wrong.
  """
  split = sources.load(config, config.data.train_split)
  plan = config_lib.plan(config, split.size)
  directory = checkpoint.folder(workdir)
  with checkpoint.Checkpoints(directory, config.checkpoint_keep) as checkpoints:
    step = checkpoints.latest_step() or 0
    if step >= plan.total and (scores := checkpoints.metrics(step)):
      log.info('%s is complete: step %d of %d', workdir, step, plan.total)
      return {'step': step, **scores}
    return _train(config, workdir, mesh, split, plan, checkpoints)


def _train(config, workdir, mesh, split, plan, checkpoints):
  # What is to be trained, and how.
  model = models.build(config, models.num_classes(config, split.class_names))
  rate = optim.schedule(config, plan)
  tx = optim.optimizer(config, rate)
  eval_split = sources.load(config, config.data.eval_split)
  evaluator = Evaluator(config, model, eval_split, mesh)

  # Nothing is made before its sharding is known.
  init = state_lib.init_fn(config, model, tx)
  abstract = state_lib.abstract(init, mesh)
  shardings = jax.tree.map(lambda x: x.sharding, abstract)
  init = jax.jit(
    init,
    out_shardings=shardings,
    # It runs once: on a CPU, optimising it takes longer than it ever will.
    compiler_options={'xla_backend_optimization_level': 0}
    if mesh.devices.flat[0].platform == 'cpu'
    else None,
  )
  state = checkpoints.restore_or(init, abstract)
  best = checkpoints.best_score()
  start = int(state.step)
  _announce(config, workdir, mesh, split, plan, state)

  # The data and the step; both pick up where `start` says.
  rows = sharding.host_rows(config.batch_size)
  batches = pipeline.train_batches(split, config, start, rows)
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
      scores = None
      if plan.due(plan.log_every, step):
        writer.write(step, 'train', progress.report(step))
      if plan.due(plan.eval_every, step):
        scores = evaluator(state.variables(ema=bool(config.ema_decay)))
        scores['images_per_sec'] = progress.images_per_sec
        writer.evaluation(step, scores)
      is_best = scores is not None and scores['top1'] > best
      if is_best or plan.due(plan.checkpoint_every, step):
        checkpoints.save(state, scores)
      best = max(best, scores['top1']) if is_best else best
  return {'step': plan.total, **scores}


def _announce(config, workdir, mesh, split, plan, state):
  """Says what is about to happen, and keeps the config beside it."""
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

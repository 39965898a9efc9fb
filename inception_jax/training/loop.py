"""The training loop."""

import contextlib
import logging
import math

from etils import epath
from flax import traverse_util
import jax

from inception_jax import errors
from inception_jax import trees
from inception_jax.checkpointing import compatibility
from inception_jax.checkpointing import lookup
from inception_jax.checkpointing import manager
from inception_jax.config import durations
from inception_jax.config import serialization
from inception_jax.data import pipeline
from inception_jax.data.bad_images import BadImages
from inception_jax.data.sources import registry
from inception_jax.distributed import session
from inception_jax.distributed import sharding
from inception_jax.evaluation.evaluate import Options
from inception_jax.evaluation.evaluate import evaluate
from inception_jax.evaluation.evaluate import reached
from inception_jax.evaluation.evaluator import Evaluator
from inception_jax.models import card
from inception_jax.models import factory
from inception_jax.runtime import files
from inception_jax.runtime import lock
from inception_jax.runtime import preemption
from inception_jax.runtime.metric_writer import MetricWriter
from inception_jax.runtime.preemption import Preempted
from inception_jax.runtime.watchdog import Watchdog
from inception_jax.training import progress as progress_lib
from inception_jax.training import schedules
from inception_jax.training import train_state
from inception_jax.training.divergence import DivergenceMonitor
from inception_jax.training.train_state import TrainState
from inception_jax.training.trainer import Trainer
from inception_jax.weights import pretrained

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
    RunError: a checkpoint could not be saved, or the workdir has gone.
    FloatingPointError: it is no longer one of numbers; says since when.
    Preempted: a signal asked it to end, and all it did is saved.
  """
  # What is to be trained, and how. Nothing is written before all of it has
  # proved to be there.
  config, weights = pretrained.resolve_start(config, workdir, mesh)
  split = registry.load(config, config.data.train_split)
  eval_split = registry.load(config, config.data.eval_split)
  session.check_equal(
    {
      'classes': split.class_names,
      'images to train on': split.size,
      'images to evaluate on': eval_split.size,
    }
  )
  num_classes = factory.num_classes(config, split.class_names)
  about = factory.about(
    factory.describe(config, num_classes), card.of(config), split.class_names
  )
  plan = durations.plan(config, split.size)
  trainer = Trainer(
    config, mesh, num_classes, schedules.make_schedule(config, plan)
  )
  watchdog = Watchdog(
    config.watchdog_minutes, workdir, jax.process_index(), jax.process_count()
  )
  ask = sharding.any_process(mesh)

  def between():
    """Of the batches of an evaluation."""
    watchdog.step_done()
    if ask(preemption.requested()):
      raise Preempted('in an evaluation')

  evaluator = Evaluator(
    [(config, trainer.model)], eval_split, mesh, workdir, between
  )
  _check_room(workdir, trainer.abstract)

  with (
    lock.held(workdir) as check_lock,
    manager.CheckpointManager(
      lookup.checkpoint_folder(workdir),
      config.checkpoint_keep,
      lambda step: plan.due(plan.keep_every, step),
      config.best_by,
    ) as checkpoints,
  ):
    # The first state, or the newest one that is sound.
    start, stored, changed = 0, {}, False
    if lookup.has_checkpoints(workdir):
      start, record, arrays = checkpoints.resume()
      stored = record['metrics']
      complete = start >= plan.total or reached(config, stored)
      classes = split.class_names
      changed = compatibility.check(config, classes, record, workdir, complete)
      if complete:
        log.info('%s is complete: step %d of %d', workdir, start, plan.total)
        # Its last checkpoint may have been meant as one on the way.
        scores = stored or {
          **evaluate(config, workdir, mesh, Options()).result,
          'images_per_sec': None,
        }
        return {'step': start, **scores}
      state = TrainState(
        **trees.restore(vars(trainer.abstract), arrays, checkpoints.path(start))
      )
      del arrays
    else:
      state = train_state.initialize_from(trainer.init(), weights)
    _keep(workdir, 'config.json', serialization.to_json(config))
    _keep(
      workdir,
      'parameters.txt',
      train_state.overview_table(trainer.abstract.params),
    )
    _announce(config, mesh, split, plan, trainer.abstract, start)

    # The data and the step; both pick up where `start` says.
    rows = sharding.host_rows(config.batch_size)
    bad = BadImages(split, config, workdir)
    batches = pipeline.train_batches(split, config, start, rows, bad)
    batches = sharding.on_devices(mesh, batches)
    train_step = trainer.compile()

    guard = DivergenceMonitor(
      trainer.model, config, trainer.abstract, checkpoints.last_good
    )
    with (
      MetricWriter(workdir, not changed) as writer,
      progress_lib.Progress(
        plan, config.batch_size, guard.check, start
      ) as progress,
      watchdog.watching(),
    ):
      preemption.defer_signals()
      if start and not stored and plan.due(plan.eval_every, start):
        # It was asked to end in the evaluation that was due here.
        stored = _evaluate(config, mesh, evaluator, state, start, writer)
        stored['images_per_sec'] = math.nan
        writer.evaluation(start, stored)
        checkpoints.add_metrics(start, stored)
        if reached(config, stored):
          return {'step': start, **stored}
      for step in range(start + 1, plan.total + 1):
        state, sums = train_step(state, progress.next(batches))
        progress.add(sums)
        watchdog.step_done()
        checkpoints.check()
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
          with contextlib.suppress(Preempted):
            scores = _evaluate(config, mesh, evaluator, state, step, writer)
            scores['images_per_sec'] = progress.images_per_sec
            writer.evaluation(step, scores)
        enough = reached(config, scores)
        last = enough or (scores and step == plan.total)
        ends = ask(preemption.requested()) and not last
        if (
          ends
          or enough
          or checkpoints.is_best(scores)
          or plan.due(plan.checkpoint_every, step)
        ):
          progress.settle(step)
          check_lock()
          checkpoints.save(state, scores, about, config.to_dict())
        if ends:
          raise Preempted(f'step {step} of {plan.total}')
        if enough:
          log.info('step %d reaches stop_at_top1=%s', step, config.stop_at_top1)
          break
  return {'step': step, **scores}


def _evaluate(config, mesh, evaluator, state, step, writer):
  """Scores of the moving average; where there is one, the raw beside it."""
  if config.ema_decay:
    raw = evaluator(state.variables(ema=False))
    writer.evaluation(step, raw, raw=True)
  # The average may be split over the devices.
  variables = state.variables(ema=bool(config.ema_decay))
  return evaluator(sharding.replicate(mesh, variables))


def _announce(config, mesh, split, plan, abstract, start):
  """Says what is about to happen; does not wait for the first state."""
  platform = mesh.devices.flat[0].platform
  log.info(
    '%s, %.2f M parameters, %s, on %d %s device(s)',
    config.model.name,
    train_state.num_params(abstract.params) / 1e6,
    config.precision,
    mesh.size,
    platform,
  )
  if platform == 'gpu' and not config.deterministic:
    log.info(
      'no two runs on GPUs are the same bit for bit, nor is a resumed one: '
      '--config.deterministic=True makes them so, but slower'
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
  if start:
    log.info('resuming after step %d of %d', start, plan.total)


def _check_room(workdir, abstract):
  """Refuses a disk that has no room for a checkpoint."""
  needed = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(abstract))
  if '://' not in workdir and (faults := files.too_full(workdir, needed)):
    raise errors.UserError(*faults)


def _keep(workdir, name, text):
  """Writes a file of the run, whole or not at all."""
  if jax.process_index() == 0:
    files.replace_text(epath.Path(workdir) / name, text)

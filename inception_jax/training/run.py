"""A run before its first step: what is trained, on what, and for how long."""

import dataclasses
import logging
from typing import Any

from etils import epath
import jax

from inception_jax import errors
from inception_jax.checkpointing import lookup
from inception_jax.checkpointing.manager import CheckpointManager
from inception_jax.config import durations
from inception_jax.config import serialization
from inception_jax.data import balance
from inception_jax.data import splits
from inception_jax.data import threads
from inception_jax.data.sources import folder
from inception_jax.data.sources import registry
from inception_jax.distributed import session
from inception_jax.distributed import sharding
from inception_jax.evaluation import evaluate
from inception_jax.evaluation.evaluator import Evaluator
from inception_jax.models import card
from inception_jax.models import factory
from inception_jax.models import metadata
from inception_jax.runtime import files
from inception_jax.runtime import hardware
from inception_jax.training import caching
from inception_jax.training import schedules
from inception_jax.training import train_state
from inception_jax.training import unfreezing
from inception_jax.training.trainer import Trainer
from inception_jax.weights import pretrained
from inception_jax.weights.convert import Weights

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Run:
  """Everything that is known of a training before it starts.

  Attributes:
    config: the whole config, resolved.
    workdir: where it writes.
    mesh: the devices.
    split: the training images.
    eval_split: the evaluation images.
    data: size and digest of both, by description.
    plan: the config's durations in steps.
    trainers: the network, the optimizer and the training step; one for each
      phase of `fine_tune.unfreeze_at`, a single one without.
    evaluator: of `eval_split`.
    network: the network's metadata, for checkpoints.
    weights: to fine-tune; None to start from scratch or to resume.
  """

  config: Any
  workdir: str
  mesh: jax.sharding.Mesh
  split: Any
  eval_split: Any
  data: dict[str, list]
  plan: durations.Plan
  trainers: tuple[Trainer, ...]
  evaluator: Evaluator
  network: dict[str, Any]
  weights: Weights | None

  @property
  def trainer(self) -> Trainer:
    """That of the first phase; all have the same network."""
    return self.trainers[0]

  def trainer_of(self, step: int) -> Trainer:
    """Returns that of a step, and of the state after it."""
    return self.trainers[unfreezing.phase(self.plan, step)]

  def reached_target(self, scores: dict[str, float]) -> bool:
    """Returns whether an evaluation reaches `config.stop_at_top1`."""
    return evaluate.reached(self.config.stop_at_top1, scores)


def prepare(config, workdir: str, mesh: jax.sharding.Mesh) -> Run:
  """Opens the data and plans the training; writes nothing.

  Raises:
    UserError: data or weights are missing or do not fit, processes see
      different data, or the disk is too full for a checkpoint.
  """
  config, weights = pretrained.resolve_for_training(config, workdir, mesh)
  config = registry.resolve(config)
  split = registry.load(config, config.data.train_split)
  eval_split = registry.load(config, config.data.eval_split)
  data = {
    'images to train on': [split.size, split.digest()],
    'images to evaluate on': [eval_split.size, eval_split.digest()],
  }
  session.check_equal({'classes': split.class_names, **data})
  balance.check(config.data, split)
  _check_classes(config, split)
  caching.check_split(config, split)
  num_classes = factory.num_classes(config, split.class_names)
  network = metadata.to_dict(
    factory.network_config(config, num_classes),
    card.from_config(config.data),
    split.class_names,
  )
  # Checkpoints that no later start accepts are not written.
  metadata.from_dict(network, 'this config')
  plan = durations.plan(config, split.size)
  rate = schedules.make_schedule(config.schedule, config.batch_size, plan)
  weights_of_classes = balance.class_weights(config.data, split, num_classes)
  trainers = _make_trainers(
    *(config, plan, mesh, num_classes, rate, weights_of_classes)
  )
  trainer = trainers[0]
  evaluator = Evaluator([(config, trainer.model)], eval_split, mesh, workdir)
  images = split.size * config.fine_tune.cached_views + eval_split.size
  images *= config.fine_tune.cache_features
  _check_disk_space(workdir, trainers[-1].abstract, images)
  return Run(
    config=config,
    workdir=workdir,
    mesh=mesh,
    split=split,
    eval_split=eval_split,
    data=data,
    plan=plan,
    trainers=trainers,
    evaluator=evaluator,
    network=network,
    weights=weights,
  )


def _make_trainers(config, plan, *args) -> tuple[Trainer, ...]:
  """Returns the trainer of each phase.

  Raises:
    UserError: faults of patterns, and of when they unfreeze.
  """
  faults = unfreezing.check_plan(config, plan)
  phases = range(1 + len(config.fine_tune.unfreeze_at))
  try:
    trainers = tuple(Trainer(config, *args, phase=i) for i in phases)
  except errors.UserError as error:
    raise errors.UserError(*faults, *error.faults) from error
  if faults:
    raise errors.UserError(*faults)
  return trainers


def _check_classes(config, split: splits.Split) -> None:
  """Raises if there is nothing to tell apart; the loss would be 0."""
  if len(split.class_names) > 1:
    return
  names = ', '.join(split.class_names)
  is_folder = config.data.source == 'folder'
  lines = folder.expected_layout(config) if is_folder else []
  raise errors.UserError(
    f'the training images are of one class, {names}; two are needed', *lines
  )


def open_checkpoints(run: Run) -> CheckpointManager:
  """Opens the run's checkpoints for writing; use it in a `with`."""
  return CheckpointManager(
    lookup.checkpoint_folder(run.workdir),
    run.config.checkpoint_keep,
    lambda step: run.plan.due(run.plan.keep_every, step),
    run.config.best_by,
  )


def write_description(run: Run, start: int) -> None:
  """Writes config.json and parameters.txt, and logs what is trained.

  Args:
    run: the run.
    start: steps done before.
  """
  config, plan, params = run.config, run.plan, run.trainer.abstract.params
  if jax.process_index() == 0:
    workdir = epath.Path(run.workdir)
    files.atomic_write(workdir / 'config.json', serialization.to_json(config))
    table = train_state.overview_table(params)
    files.atomic_write(workdir / 'parameters.txt', table)
  platform = run.mesh.devices.flat[0].platform
  log.info(
    '%s, %.2f M parameters, %s, on %s',
    config.model.name,
    train_state.num_params(params) / 1e6,
    config.precision,
    hardware.describe(run.mesh),
  )
  if platform == 'gpu' and not config.deterministic:
    log.info(
      'runs on GPUs are not reproducible bit for bit, nor are resumed runs: '
      '--config.deterministic=True makes them so, but slower'
    )
  log.info(
    '%s: %s; %d steps of %d images, %.2f epochs',
    config.data.source,
    balance.describe(run.split),
    plan.total,
    config.batch_size,
    plan.total / plan.steps_per_epoch,
  )
  classes, outputs = len(run.split.class_names), run.trainer.model.num_classes
  if outputs > classes:
    log.warning(
      'the network has %d outputs and the data %d classes: '
      '--config.model.num_classes=0 gives it as many',
      outputs,
      classes,
    )
  size, data = sharding.host_rows(config.batch_size), config.data
  image = data.image_size**2 * data.channels
  log.info(
    'images are read by %s', threads.describe(data.workers, len(size), image)
  )
  if start:
    log.info('resuming after step %d of %d', start, plan.total)


def _check_disk_space(workdir: str, abstract, cached: int) -> None:
  """Raises a UserError without room for a checkpoint and cached features."""
  needed = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(abstract))
  needed += cached * 4 * caching.width(abstract.params)
  if faults := files.check_free_space(workdir, needed):
    raise errors.UserError(*faults)

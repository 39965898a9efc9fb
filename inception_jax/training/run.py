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
from inception_jax.data.sources import folder
from inception_jax.data.sources import registry
from inception_jax.distributed import session
from inception_jax.evaluation import evaluate
from inception_jax.evaluation.evaluator import Evaluator
from inception_jax.models import card
from inception_jax.models import factory
from inception_jax.models import metadata
from inception_jax.runtime import files
from inception_jax.training import caching
from inception_jax.training import schedules
from inception_jax.training import train_state
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
    trainer: the network, the optimizer and the training step.
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
  trainer: Trainer
  evaluator: Evaluator
  network: dict[str, Any]
  weights: Weights | None

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
  split = registry.load(config, config.data.train_split)
  eval_split = registry.load(config, config.data.eval_split)
  data = {
    'images to train on': [split.size, split.digest()],
    'images to evaluate on': [eval_split.size, eval_split.digest()],
  }
  session.check_equal({'classes': split.class_names, **data})
  balance.check(config.data, split)
  caching.check_split(config, split)

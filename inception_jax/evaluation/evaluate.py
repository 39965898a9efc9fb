"""Restores networks and evaluates them, alone or as an ensemble."""

from collections.abc import Sequence
import dataclasses
import logging
from typing import Any
from typing import NamedTuple

import jax

from inception_jax import inputs
from inception_jax.data.sources import registry
from inception_jax.distributed import session
from inception_jax.errors import UserError
from inception_jax.evaluation import labels as labels_lib
from inception_jax.evaluation import outputs as outputs_lib
from inception_jax.evaluation import predictions
from inception_jax.evaluation.evaluator import Evaluator
from inception_jax.evaluation.labels import ImageLabels
from inception_jax.models import factory
from inception_jax.weights import pretrained
from inception_jax.weights.convert import Weights

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Options:
  """How to evaluate, beyond the config.

  Attributes:
    checkpoints: each 'latest', 'best', a step, or the path of a run, a
      checkpoint or another framework's file; the probabilities of several are
      averaged.
    ema: whether to evaluate the moving average, if there is one.
    labels: file of other labels, see `labels.make_labels`; '': the split's.
    classes: file of the only classes that may be predicted; '': all.
    output: folder for predictions.csv and evaluation.json; '': none.
  """

  checkpoints: tuple[str, ...] = ('latest',)
  ema: bool = True
  labels: str = ''
  classes: str = ''
  output: str = ''


class Evaluated(NamedTuple):
  """The result of an evaluation, with that of every image.

  Attributes:
    result: 'step', and the scores of `evaluator.Evaluation`; 'step' is a list
      for several checkpoints.
    columns: of the images, see `predictions.concatenate`.
    split: that was evaluated.
    names: of the outputs.
  """

  result: dict[str, Any]
  columns: dict[str, Any]
  split: Any
  names: tuple[str, ...]


class Prepared(NamedTuple):
  """An evaluation that needs nothing but the weights."""

  evaluator: Evaluator
  split: Any
  labels: ImageLabels


def evaluate(
  config, workdir: str, mesh: jax.sharding.Mesh, options: Options
) -> Evaluated:
  """Restores checkpoints and evaluates `data.eval_split`.

  Args:
    config: the whole config.
    workdir: of the run.
    mesh: the devices.
    options: which checkpoints, and how.

  Raises:
    UserError: there is no such checkpoint, or it is of another network.
  """
  ensemble = len(options.checkpoints) > 1
  found = [
    pretrained.restore(workdir, checkpoint, mesh, options.ema)
    for checkpoint in options.checkpoints
  ]
  steps, weights = zip(*found, strict=True)
  return run(
    prepare(config, weights, mesh, options),
    config.data,
    options,
    origins=[own.origin for own in weights],
    step={'step': list(steps) if ensemble else steps[0]},
    variables=[own.variables for own in weights],
  )


def prepare(
  config, weights: Sequence[Weights], mesh, options: Options
) -> Prepared:
  """Returns an evaluator of these networks, as an ensemble if several.

  Raises:
    UserError: their classes differ from each other's, or from the split's.
  """
  config = registry.resolve(config)
  if len(weights) > 1:
    configs = [pretrained.adopt_network(config, own) for own in weights]
  else:
    configs = [pretrained.resolve(config, weights[0])]
  for own, of in zip(configs, weights, strict=True):
    if own.data.channels != (channels := len(of.card.mean)):
      raise UserError(
        f'data.channels={own.data.channels}, but {of.origin} has {channels}: '
        f'set --config.data.channels={channels}'
      )
    if (size := own.data.image_size) != of.card.input_size:
      log.warning(
        'images have %d×%d pixels, those of %s had %d×%d: '
        '--config.data.image_size=%d takes the same',
        *(size, size, of.origin, of.card.input_size, of.card.input_size),
        of.card.input_size,
      )
  split = registry.load(configs[0], config.data.eval_split)
  images = (split.size, split.digest())
  session.check_equal(
    {'classes': split.class_names, 'images to evaluate on': images}
  )
  labels = labels_for(configs[0], split, weights, options)
  members = [(own, factory.build(own, len(labels.names))) for own in configs]
  evaluator = Evaluator(members, split, mesh, labels=labels)
  log.info('images are read by %s', evaluator.reading())
  return Prepared(evaluator, split, labels)


def run(
  prepared: Prepared,
  data,
  options: Options,
  origins: list[str],
  step: dict[str, Any],
  variables: list[Any],
) -> Evaluated:
  """Evaluates, and writes predictions if `options.output` is set.

  Args:
    prepared: what to evaluate.
    data: `config.data`, for the files.
    options: how to evaluate.
    origins: of the weights.
    step: {'step': …} for the result; {} if there is none.
    variables: of each network.
  """
  evaluator, split, labels = prepared
  evaluation = evaluator(*variables)
  result = {**step, **evaluation.scores}
  columns = predictions.concatenate(evaluation.batches, split.size)
  if options.output and jax.process_index() == 0:
    summary = {
      'result': result,
      'checkpoints': origins,
      'weights': 'ema' if options.ema else 'raw',
      'split': data.eval_split,
      'protocol': data.eval_protocol,
      'labels': options.labels,
      'classes_file': options.classes,
    }
    predictions.write(options.output, summary, columns, split, labels.names)
  return Evaluated(result, columns, split, labels.names)


def reached(target: float, scores: dict[str, Any]) -> bool:
  """Returns whether an evaluation reaches `stop_at_top1`; 0 is no target."""
  return bool(target) and scores.get('top1', 0) >= target


def labels_for(config, split, networks: Sequence, options: Options):
  """Returns the labels of a split for all of these networks.

  Args:
    config: the whole config, resolved.
    split: the images.
    networks: `Weights` or `Artifact`s.
    options: which labels and classes.

  Returns:
    `ImageLabels`.

  Raises:
    UserError: see `prepare`.
  """
  first, faults = networks[0], []
  outputs = first.network.num_classes
  for other in networks[1:]:
    if other.network.num_classes != outputs:
      faults.append(
        f'{other.origin} has {other.network.num_classes} classes, '
        f'{first.origin} {outputs}'
      )
    elif other.classes != first.classes and other.classes and first.classes:
      faults.append(f'{other.origin} has other classes than {first.origin}')
  if faults:
    raise UserError(*faults)
  given = split.class_names
  classes = outputs_lib.names(
    next((own.classes for own in networks if own.classes), ()), given, outputs
  )
  # Other outputs without names are matched by position.
  if not classes and None not in map(inputs.parse_number, given):
    if len(given) != outputs:
      raise UserError(
        f'the outputs of {first.origin} have no names, and the classes of '
        f'{config.data.source} are numbers that are not all different and '
        f'below {outputs}, the number of outputs'
      )
  elif not classes and factory.num_classes(config, given) != outputs:
    raise UserError(
      f'{first.origin} has {outputs} classes, {config.data.source} has '
      f'{len(given)}: set --config.model.num_classes'
    )
  return labels_lib.make_labels(
    split, outputs, classes, options.labels, options.classes
  )

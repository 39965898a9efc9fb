"""Restores networks and evaluates them, alone or together."""

from collections.abc import Sequence
import dataclasses
from typing import Any
from typing import NamedTuple

import jax

from inception_jax.data.sources import registry
from inception_jax.distributed import session
from inception_jax.errors import UserError
from inception_jax.evaluation import labels as labels_lib
from inception_jax.evaluation import predictions
from inception_jax.evaluation.evaluator import Evaluator
from inception_jax.evaluation.labels import ImageLabels
from inception_jax.export.artifact import Artifact
from inception_jax.models import factory
from inception_jax.weights import pretrained
from inception_jax.weights.convert import Weights


@dataclasses.dataclass(frozen=True)
class Options:
  """How to evaluate, besides what a config says.

  Attributes:
    checkpoints: each 'latest', 'best', a step, or the path of a run, a
      checkpoint or another framework's file; of several, probabilities are
      averaged.
    ema: whether to take the moving averages, where there are any.
    labels: file of other labels, see `answers.of`; '' for the split's.
    classes: file of the only classes in the running; '' for all.
    output: folder for predictions.csv and evaluation.json; '' for none.
  """

  checkpoints: tuple[str, ...] = ('latest',)
  ema: bool = True
  labels: str = ''
  classes: str = ''
  output: str = ''


class Found(NamedTuple):
  """What an evaluation found.

  Attributes:
    result: 'step', 'loss', 'top1', 'top5', 'count'; 'step' is a list of
      several.
    columns: of the images, see `predictions.joined`.
    split: that was evaluated.
    names: of the outputs.
  """

  result: dict[str, Any]
  columns: dict[str, Any]
  split: Any
  names: tuple[str, ...]


def evaluate(
  config, workdir: str, mesh: jax.sharding.Mesh, options: Options
) -> Found:
  """Restores checkpoints and evaluates `data.eval_split`.

  Args:
    config: the whole config.
    workdir: of the run.
    mesh: the devices.
    options: which checkpoints, and how.

  Raises:
    UserError: no such checkpoint, or one of another network.
  """
  several = len(options.checkpoints) > 1
  found = [
    pretrained.find(
      workdir, which, mesh, options.ema, None if several else config
    )
    for which in options.checkpoints
  ]
  steps, weights = zip(*found, strict=True)
  return run(
    prepare(config, weights, mesh, options),
    config,
    options,
    [own.origin for own in weights],
    {'step': list(steps) if several else steps[0]},
    [own.variables for own in weights],
  )


def run(prepared, config, options, origins, step, variables) -> Found:
  """Evaluates, and writes what was asked for."""
  evaluator, split, answers = prepared
  rows = []
  result = {**step, **evaluator(*variables, rows=rows)}
  columns = predictions.concatenate(rows, split.size)
  if options.output and jax.process_index() == 0:
    about = {
      'result': result,
      'checkpoints': origins,
      'weights': 'ema' if options.ema else 'raw',
      'split': config.data.eval_split,
      'protocol': config.data.eval_protocol,
      'labels': options.labels,
      'classes_file': options.classes,
    }
    predictions.write(options.output, about, columns, split, answers.names)
  return Found(result, columns, split, answers.names)


class Prepared(NamedTuple):
  """An evaluation that needs nothing but the weights."""

  evaluator: Evaluator
  split: Any
  answers: ImageLabels


def prepare(
  config, weights: Sequence[Weights], mesh, options: Options
) -> Prepared:
  """An evaluator of networks such as these.

  Raises:
    UserError: they tell other classes apart than each other, or the split.
  """
  if len(weights) > 1:
    configs = [pretrained.with_network_of(config, own) for own in weights]
  else:
    configs = [pretrained.resolve(config, weights[0])]
  split = registry.load(configs[0], config.data.eval_split)
  session.check_equal(
    {'classes': split.class_names, 'images to evaluate on': split.size}
  )
  answers = labels_for(configs[0], split, weights, options)
  members = [(own, factory.build(own, len(answers.names))) for own in configs]
  return Prepared(
    Evaluator(members, split, mesh, answers=answers), split, answers
  )


def reached(config, scores) -> bool:
  """Whether an evaluation is as good as was asked for."""
  return bool(config.stop_at_top1) and (
    scores.get('top1', 0) >= config.stop_at_top1
  )


def labels_for(
  config, split, weights: Sequence[Weights | Artifact], options: Options
) -> ImageLabels:
  """What is right of a split, for all of these networks.

  Raises:
    UserError: see `prepare`.
  """
  first, faults = weights[0], []
  outputs = first.model['num_classes']
  for other in weights[1:]:
    if (there := other.model['num_classes']) != outputs:
      faults.append(
        f'{other.origin} tells {there} classes apart, {first.origin} {outputs}'
      )
    elif other.classes != first.classes and other.classes and first.classes:
      faults.append(f'{other.origin} has other classes than {first.origin}')
  if faults:
    raise UserError(*faults)
  classes = next((own.classes for own in weights if own.classes), ())
  # Where outputs have no names, they are counted.
  if not classes and factory.num_classes(config, split.class_names) != outputs:
    raise UserError(
      f'{first.origin} tells {outputs} classes apart, {config.data.source} '
      f'has {len(split.class_names)}: set --config.model.num_classes'
    )
  return labels_lib.make_labels(
    split, outputs, classes, options.labels, options.classes
  )

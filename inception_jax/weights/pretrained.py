"""Restores trained weights, and resolves a config for their network."""

import dataclasses
import os
from typing import Any
from typing import NamedTuple

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from inception_jax import inputs
from inception_jax import trees
from inception_jax.checkpointing import checkpoint
from inception_jax.checkpointing import lookup
from inception_jax.checkpointing.directory import CheckpointDirectory
from inception_jax.distributed import session
from inception_jax.distributed import sharding
from inception_jax.errors import UserError
from inception_jax.models import architectures
from inception_jax.models import factory
from inception_jax.models import metadata
from inception_jax.models.card import Card
from inception_jax.models.network import Inception
from inception_jax.models.network_config import STRUCTURE
from inception_jax.weights import hub
from inception_jax.weights import importer
from inception_jax.weights import transfer
from inception_jax.weights.convert import Weights


def restore(
  workdir: str,
  which: str,
  mesh: jax.sharding.Mesh,
  ema: bool = True,
  headless: bool = False,
) -> tuple[int, Weights]:
  """Restores trained weights of a run, a checkpoint or another framework.

  Args:
    workdir: the run's folder; '' if `which` is a path.
    which: 'latest', 'best' or a step; or the path of a run (its newest
      checkpoint), of a checkpoint, or what `importer.load` reads.
    mesh: the devices, on which a checkpoint's weights are replicated.
    ema: whether to restore the moving average, if there is one.
    headless: whether weights without a classifier are accepted.

  Returns:
    The step, 0 for another framework's file, and the weights.

  Raises:
    UserError: there is no such checkpoint or file, or it is damaged or has no
      classifier.
  """
  step, weights = _restore(workdir, which, mesh, ema)
  if not (headless or weights.network.num_classes):
    path = which if lookup.is_path(which) else workdir
    raise UserError(
      f'{path} has no classifier; fine-tune it first: '
      f'--config.fine_tune.checkpoint={path}'
    )
  return step, weights


def _restore(
  workdir: str, which: str, mesh: jax.sharding.Mesh, ema: bool
) -> tuple[int, Weights]:
  if workdir and not lookup.is_path(which):
    return _restore_checkpoint(workdir, which, mesh, ema)
  if hub.is_reference(which):
    return 0, importer.load(which)
  path = lookup.to_path(which)
  if lookup.has_checkpoints(str(path)):
    return _restore_checkpoint(str(path), 'latest', mesh, ema)
  if checkpoint.is_checkpoint(path):
    return _restore_checkpoint('', str(path), mesh, ema)
  if path.is_dir() and not hub.find(str(path)):
    raise UserError(
      f'{which} is neither a checkpoint nor a run with checkpoints, and has no '
      'config.json beside weights'
    )
  return 0, importer.load(str(path))


def _restore_checkpoint(
  workdir: str, which: str, mesh: jax.sharding.Mesh, ema: bool
) -> tuple[int, Weights]:
  has_ema = lambda record: ema and 'ema' in checkpoint.state_fields(record)
  directory, steps = lookup.find(workdir, which)
  step, record, arrays = directory.read_first_sound(
    steps, lambda r: {'ema'} if has_ema(r) else {'params', 'batch_stats'}
  )
  path = directory.path(step)
  network, card, classes = metadata.from_dict(
    record['network'], path, headless=True
  )
  model = architectures.create(network)
  variables = jax.tree.map(
    lambda x: x.update(sharding=sharding.replicated(mesh)),
    architectures.init_shapes(model, card.image_shape),
  )
  if has_ema(record):
    variables = trees.restore({'ema': variables}, arrays, path)['ema']
  else:
    variables = trees.restore(variables, arrays, path)
  evaluation = _evaluation(record, card, ema)
  return step, Weights(str(path), network, card, variables, classes, evaluation)


def _evaluation(record: dict[str, Any], card: Card, ema: bool) -> dict:
  """Returns `Weights.evaluation` of a checkpoint.

  A run evaluates the moving average, if it has one.
  """
  has_ema = 'ema' in checkpoint.state_fields(record)
  if not record['metrics'] or (has_ema and not ema):
    return {}
  data = (record['config'] or {}).get('data', {})
  return {
    **record['metrics'],
    'step': record['step'],
    'split': data.get('eval_split', ''),
    'protocol': data.get('eval_protocol', ''),
    'image_size': card.input_size,
  }


def resolve_for_training(
  config, workdir: str, mesh: jax.sharding.Mesh
) -> tuple[ConfigDict, Weights | None]:
  """Resolves the config of a training run, and restores its initial weights.

  Open keys are taken from the run's own checkpoint or, in a new workdir ('' for
  none), from the weights to fine-tune.

  Returns:
    The resolved config, and the weights to fine-tune; None if the run resumes
    or starts from scratch.

  Raises:
    UserError: the weights are missing or of another network, or the workdir
      holds imported weights.
  """
  # Process 0 tells the others, which may see the folder later.
  if workdir and session.from_primary(lambda: lookup.has_checkpoints(workdir)):
    directory = CheckpointDirectory(lookup.checkpoint_folder(workdir))
    _, record = directory.newest_record()
    if 'opt_state' not in checkpoint.state_fields(record):
      raise UserError(
        f'{workdir} holds imported weights, not a run; to fine-tune them, use '
        f'another --workdir and --config.fine_tune.checkpoint={workdir}'
      )
    network, card, classes = metadata.from_dict(record['network'], workdir)
    config = factory.resolve(config, network, card)
    if _has_text_order(record, classes):
      config.data.class_order = 'text'
    return config, None
  if not config.fine_tune.checkpoint:
    if not config.model.name:
      raise UserError(
        'model.name is empty, and there are no weights to take it from: set '
        '--config.fine_tune.checkpoint, or --config.model.name'
      )
    return factory.resolve(config), None
  _, weights = restore('', config.fine_tune.checkpoint, mesh, headless=True)
  return resolve(config, weights), weights


def _has_text_order(record: dict[str, Any], classes: tuple[str, ...]) -> bool:
  """Returns whether a run has class folders that are numbers sorted as text.

  Those of earlier versions have; their configs lack the key.
  """
  stored = (record.get('config') or {}).get('data', {})
  as_text = stored.get('class_order', 'text') == 'text'
  names = list(classes)
  return as_text and sorted(names) == names != inputs.sort_classes(names)


def resolve(config, weights: Weights) -> ConfigDict:
  """Returns `config` with its open keys taken from `weights`.

  Only their metadata is used; an exported `Artifact` has it, too.

  Raises:
    UserError: `config.model` is another network than that of `weights`.
  """
  config = factory.resolve(config, weights.network, weights.card)
  faults = [
    f'model.{key}={config.model[key]!r}, but {weights.origin} has '
    f'{getattr(weights.network, key)!r}: set --config.model.{key}'
    for key in STRUCTURE
    if config.model[key] != getattr(weights.network, key)
  ]
  if faults := faults or factory.check(config):
    raise UserError(*faults)
  return config


def adopt_network(config, weights: Weights) -> ConfigDict:
  """Returns `config` with the network of `weights`; see `resolve`."""
  config = config.copy_and_resolve_references()
  config.model.update({key: getattr(weights.network, key) for key in STRUCTURE})
  config.model.update({'bn_epsilon': 0.0, 'pool_padding': ''})
  return resolve(config, weights)


class Pretrained(NamedTuple):
  """A network with its trained weights.

  Attributes:
    model: the linen module.
    variables: {'params', 'batch_stats'}, float32.
    card: `model.card`: how images are prepared, by `card.preprocess(images)`.
  """

  model: Inception
  variables: dict[str, Any]
  card: Card


def load_pretrained(
  path: str | os.PathLike[str], num_classes: int | None = None
) -> Pretrained:
  """Loads a trained network.

  Args:
    path: a run's folder (its newest checkpoint), a checkpoint, or weights of
      another framework: a file, a folder in the hub's layout, or
      'hf-hub:OWNER/NAME' (see `importer.load`). The moving average, if any.
    num_classes: if it differs from the number of the weights, both classifiers
      are initialized anew, with `jax.random.key(0)`. 0: no classifier; the
      network returns the pooled features, as with weights that have none.

  Raises:
    UserError: the weights cannot be read, or are not of a known network.
  """
  mesh = sharding.make_mesh(jax.devices()[:1])
  _, weights = restore('', os.fspath(path), mesh, headless=True)
  network, card = weights.network, weights.card
  if num_classes not in (None, network.num_classes):
    network = dataclasses.replace(network, num_classes=num_classes)
  model = architectures.create(network, card=card)
  if network is not weights.network:
    images = jnp.zeros((1, *card.image_shape))
    init = lambda: model.init(jax.random.key(0), images)
    fresh = sharding.jit_init(init, sharding.replicated(mesh))()
    return Pretrained(model, transfer.transfer(fresh, weights), card)
  return Pretrained(model, jax.tree.map(jnp.asarray, weights.variables), card)

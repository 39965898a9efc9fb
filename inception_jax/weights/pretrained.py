"""Trained weights, from a run, a checkpoint or another framework's file."""

import dataclasses
from typing import Any
from typing import NamedTuple

from etils import epath
import jax
import jax.numpy as jnp

from inception_jax import trees
from inception_jax.checkpointing import checkpoint
from inception_jax.checkpointing import lookup
from inception_jax.checkpointing.directory import CheckpointDirectory
from inception_jax.distributed import sharding
from inception_jax.errors import UserError
from inception_jax.models import factory
from inception_jax.models import network
from inception_jax.models.card import Card
from inception_jax.weights import importer
from inception_jax.weights import transfer
from inception_jax.weights.convert import Weights

# Arguments of `models.create` that other weights cannot be fitted to.
_STRUCTURE = ('name', 'stem', 'width', 'head_batch_norm')


def find(
  workdir: str,
  which: str,
  mesh: jax.sharding.Mesh,
  ema: bool = True,
  config=None,
) -> tuple[int, Weights]:
  """Reads trained weights, and what is said of them where they are from.

  Args:
    workdir: of the run, for all but a path.
    which: 'latest', 'best' or a step; or the path of another run, for its
      newest checkpoint, of a checkpoint, or of a file `weights.load` reads.
    mesh: the devices that get them.
    ema: whether to take the moving average, where there is one.
    config: of the network that it must be, if any.

  Returns:
    The step, 0 of a file, and the weights.

  Raises:
    UserError: there is no such checkpoint, it is damaged, or of another
      network.
  """
  if workdir and not lookup.is_path(which):
    return _of_checkpoint(workdir, which, mesh, ema, config)
  where = epath.Path(which).expanduser()
  if lookup.has_checkpoints(str(where)):
    return _of_checkpoint(str(where), 'latest', mesh, ema, config)
  if lookup.is_checkpoint(where):
    return _of_checkpoint('', str(where), mesh, ema, config)
  if where.is_dir():
    raise UserError(
      f'{which} is neither a run with checkpoints nor one of them'
    )
  weights = importer.load(which)
  if config is not None:
    resolve(config, weights)
  return 0, weights


def _of_checkpoint(workdir, which, mesh, ema, config):
  averaged = lambda record: ema and 'ema' in checkpoint.state_fields(record)

  def said(record):
    where = history.path(record['step'])
    return Weights(str(where), *_about(record['network'], where))

  def wanted(record):
    if config is not None:  # before the weights are read
      resolve(config, said(record))
    return {'ema'} if averaged(record) else {'params', 'batch_stats'}

  history, steps = lookup.find(workdir, which)
  step, record, arrays = history.read(steps, wanted)
  weights = said(record)
  model = factory.create(**weights.model, card=weights.card)
  size, channels = weights.card.input_size, len(weights.card.mean)
  images = jnp.zeros((1, size, size, channels))
  variables = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(
      x.shape, x.dtype, sharding=sharding.replicated(mesh)
    ),
    jax.eval_shape(model.init, jax.random.key(0), images),
  )
  if averaged(record):
    variables = trees.restore({'ema': variables}, arrays, weights.origin)['ema']
  else:
    variables = trees.restore(variables, arrays, weights.origin)
  return step, dataclasses.replace(weights, variables=variables)


def _about(values, where):
  model, card, classes = factory.from_about(values, where)
  return model, card, {}, classes


def resolve_start(config, workdir: str, mesh: jax.sharding.Mesh):
  """Finds what a training begins with, and resolves its config.

  Open keys follow the card of the run's own checkpoint or, in a new workdir,
  that of the weights to fine-tune. Without a workdir there is no run.

  Returns:
    The resolved config, and the `Weights` to fine-tune; None for a run that
    resumes or starts from scratch.

  Raises:
    UserError: there are no such weights, or they are of another network.
  """
  if workdir and lookup.has_checkpoints(workdir):
    _, record = CheckpointDirectory(lookup.checkpoint_folder(workdir)).newest()
    if 'opt_state' not in checkpoint.state_fields(record):
      raise UserError(
        f'{workdir} holds imported weights, not a run; to fine-tune them, '
        f'take another --workdir and --config.fine_tune.checkpoint={workdir}'
      )
    _, card, _ = factory.from_about(record['network'], workdir)
    return factory.resolve(config, card), None
  if not config.fine_tune.checkpoint:
    return factory.resolve(config), None
  _, weights = find('', config.fine_tune.checkpoint, mesh)
  return resolve(config, weights), weights


def resolve(config, weights: Weights):
  """`config` with open keys as the card of `weights` says.

  Raises:
    UserError: they are of another network than `config.model`.
  """
  config = factory.resolve(config, weights.card)
  wanted = factory.describe(config, 0)
  faults = [
    f'model.{key}={wanted[key]!r}, but {weights.origin} has '
    f'{weights.model[key]!r}: set --config.model.{key}'
    for key in _STRUCTURE
    if wanted[key] != weights.model[key]
  ]
  if faults := faults or factory.check(config):
    raise UserError(*faults)
  return config


def with_network_of(config, weights: Weights):
  """`config` with the network of `weights` for its own, as `resolve`."""
  config = config.copy_and_resolve_references()
  config.model.update({key: weights.model[key] for key in _STRUCTURE})
  config.model.update({'bn_epsilon': 0.0, 'pool_padding': ''})
  return resolve(config, weights)


class Pretrained(NamedTuple):
  """A network with its trained weights.

  Attributes:
    model: the linen module.
    variables: {'params', 'batch_stats'}, float32.
    card: how images must be prepared: `(image − card.mean) / card.std`.
  """

  model: network.Inception
  variables: dict[str, Any]
  card: Card


def load_pretrained(path: str, num_classes: int | None = None) -> Pretrained:
  """Loads a trained network.

  Args:
    path: a run's folder (its newest checkpoint, the averaged weights where
      there are any), a checkpoint, or a file of another framework, as
      `weights.load` reads them.
    num_classes: another number of classes: both classifiers are new then,
      initialised with `jax.random.key(0)`.

  Returns:
    (model, variables, card).

  Raises:
    UserError: it cannot be read, or is of no network known here.
  """
  mesh = sharding.make_mesh(jax.devices()[:1])
  _, weights = find('', path, mesh)
  arguments, card, variables = weights.model, weights.card, weights.variables
  if num_classes not in (None, arguments['num_classes']):
    arguments = {**arguments, 'num_classes': num_classes}
    model = factory.create(**arguments, card=card)
    size, channels = card.input_size, len(card.mean)
    images = jnp.zeros((1, size, size, channels))
    init = lambda: model.init(jax.random.key(0), images)
    fresh = sharding.jit_init(init, sharding.replicated(mesh))()
    return Pretrained(model, transfer.transfer(fresh, weights), card)
  variables = jax.tree.map(jnp.asarray, variables)
  return Pretrained(factory.create(**arguments, card=card), variables, card)

"""Trained weights, from a run, a checkpoint or another framework's file."""

import os
from typing import Any
from typing import NamedTuple

from etils import epath
import jax
import jax.numpy as jnp

from inception_jax import checkpoint
from inception_jax import fine_tune
from inception_jax import models
from inception_jax import runs
from inception_jax import sharding
from inception_jax import state
from inception_jax import weights as weights_lib
from inception_jax.config import UserError
from inception_jax.history import History
from inception_jax.models import network
from inception_jax.models.card import Card
from inception_jax.weights import Weights

# Arguments of `models.create` that other weights cannot be fitted to.
_STRUCTURE = ('name', 'stem', 'width', 'head_batch_norm')


def load(path: str, mesh: jax.sharding.Mesh) -> Weights:
  """Reads trained weights; of a run's newest checkpoint the averaged ones.

  Args:
    path: a run's folder, a checkpoint, or a file that `weights.load` reads.
    mesh: the devices that get the weights of a checkpoint.

  Raises:
    UserError: there are none, or they are damaged.
  """
  where = epath.Path(path).expanduser()
  if runs.exists(str(where)):
    return of_checkpoint(str(where), 'latest', mesh)[1]
  if runs.is_checkpoint(where):
    return of_checkpoint('', os.path.join(where.parent, where.name), mesh)[1]
  if where.is_dir():
    raise UserError(f'{path} is neither a run with checkpoints nor one of them')
  return weights_lib.load(path)


def of_checkpoint(
  workdir: str,
  which: str,
  mesh: jax.sharding.Mesh,
  ema: bool = True,
  config=None,
) -> tuple[int, Weights]:
  """Reads a checkpoint's weights, and what the checkpoint says of them.

  Args:
    workdir: of the run.
    which: 'latest', 'best', a step, or the path of a checkpoint.
    mesh: the devices that get them.
    ema: whether to take the moving average, where there is one.
    config: of the network that it must be, if any.

  Returns:
    The step, and the weights.

  Raises:
    UserError: there is no such checkpoint, it is damaged, or of another
      network.
  """
  averaged = lambda record: ema and 'ema' in checkpoint.fields(record)

  def wanted(record):
    if config is not None:  # before the weights are read
      where = history.path(record['step'])
      arguments, card = models.from_about(record['network'], where)
      resolve(config, Weights(str(where), arguments, card, {}))
    return {'ema'} if averaged(record) else {'params', 'batch_stats'}

  history, steps = runs.find(workdir, which)
  step, record, arrays = history.read(steps, wanted)
  where = history.path(step)
  arguments, card = models.from_about(record['network'], where)
  model = models.create(**arguments, card=card)
  shape = (1, card.input_size, card.input_size, len(card.mean))
  variables = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(
      x.shape, x.dtype, sharding=sharding.replicated(mesh)
    ),
    jax.eval_shape(model.init, jax.random.key(0), jnp.zeros(shape)),
  )
  if averaged(record):
    variables = state.filled({'ema': variables}, arrays, where)['ema']
  else:
    variables = state.filled(variables, arrays, where)
  return step, Weights(str(where), arguments, card, variables)


def begin(config, workdir: str, mesh: jax.sharding.Mesh):
  """Finds what a training begins with, and resolves its config.

  Open keys follow the card of the run's own checkpoint or, in a new workdir,
  that of the weights to fine-tune. Without a workdir there is no run.

  Returns:
    The resolved config, and the `Weights` to fine-tune; None for a run that
    resumes or starts from scratch.

  Raises:
    UserError: there are no such weights, or they are of another network.
  """
  if workdir and runs.exists(workdir):
    _, record = History(runs.folder(workdir)).newest()
    if 'opt_state' not in checkpoint.fields(record):
      raise UserError(
        f'{workdir} holds imported weights, not a run; to fine-tune them, '
        f'take another --workdir and --config.fine_tune.checkpoint={workdir}'
      )
    _, card = models.from_about(record['network'], workdir)
    return models.resolve(config, card), None
  if not config.fine_tune.checkpoint:
    return models.resolve(config), None
  weights = load(config.fine_tune.checkpoint, mesh)
  return resolve(config, weights), weights


def resolve(config, weights: Weights):
  """`config` with open keys as the card of `weights` says.

  Raises:
    UserError: they are of another network than `config.model`.
  """
  config = models.resolve(config, weights.card)
  wanted = models.describe(config, 0)
  faults = [
    f'model.{key}={wanted[key]!r}, but {weights.origin} has '
    f'{weights.model[key]!r}: set --config.model.{key}'
    for key in _STRUCTURE
    if wanted[key] != weights.model[key]
  ]
  if faults := faults or models.check(config):
    raise UserError(*faults)
  return config


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
  weights = load(path, mesh)
  arguments, card, variables = weights.model, weights.card, weights.variables
  if num_classes not in (None, arguments['num_classes']):
    arguments = {**arguments, 'num_classes': num_classes}
    model = models.create(**arguments, card=card)
    size, channels = card.input_size, len(card.mean)
    images = jnp.zeros((1, size, size, channels))
    init = lambda: model.init(jax.random.key(0), images)
    fresh = state.jit_init(init, sharding.replicated(mesh))()
    return Pretrained(model, fine_tune.graft(fresh, weights), card)
  variables = jax.tree.map(jnp.asarray, variables)
  return Pretrained(models.create(**arguments, card=card), variables, card)

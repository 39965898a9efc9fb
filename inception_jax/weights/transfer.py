"""Initializes a network with trained weights."""

import logging
from typing import Any

from flax import traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from inception_jax.errors import UserError
from inception_jax.weights.convert import Weights

log = logging.getLogger(__name__)

_FIRST_KERNEL = ('params', 'conv_1a', 'conv', 'kernel')
_BIAS = ('params', 'head', 'dense', 'bias')
# Modules whose width is the number of classes.
_CLASSIFIERS = (('head', 'dense'), ('head', 'bn_logits'), ('aux', 'head'))


def transfer(
  fresh: dict[str, Any], weights: Weights, order: list[int] | None = None
) -> dict[str, Any]:
  """Replaces initial variables with trained ones; logs the exceptions.

  Both classifiers keep their initial values if the number of classes differs or
  the weights have no classifier, and the auxiliary head if the weights have
  none of the same shape. For a network with one input channel, a first kernel
  of three is summed over them, and for one with three, a third of a kernel of
  one is repeated, as by timm's `adapt_input_conv`: a grey image then gives the
  same activations as in RGB.

  Args:
    fresh: {'params', 'batch_stats'}, initial ones.
    weights: the trained ones.
    order: which trained output becomes each output, where their number is the
      same; None: each stays.

  Returns:
    {'params', 'batch_stats'} like `fresh`, each leaf with the sharding there.

  Raises:
    UserError: anything else differs; lists all differences.
  """
  new = traverse_util.flatten_dict(fresh)
  old = traverse_util.flatten_dict(weights.variables)
  notes = [f'starting from {weights.origin}']

  before, after = _num_classes(old), _num_classes(new)
  if bool(before) != bool(after):
    notes.append(
      'the classifier is newly initialized: the weights have none'
      if after
      else 'the classifier is dropped'
    )
    old = {path: x for path, x in old.items() if path[1] != 'head'}
    head = {path: x for path, x in new.items() if path[1] == 'head'}
    old |= head  # keeps its initial values
  elif before != after:
    notes.append(
      f'{before} → {after} classes: the classifiers are newly initialized'
    )
    old = {path: x for path, x in old.items() if not _is_classifier(path)}
  elif order is not None:
    notes.append('the classifiers are reordered: classes are matched by name')
    old |= {
      p: x[..., np.array(order)] for p, x in old.items() if _is_classifier(p)
    }
  new_aux, old_aux = _aux_shapes(new), _aux_shapes(old)
  if new_aux != old_aux:
    notes.append(
      # The shape depends on the image size: one kernel spans the whole grid.
      'the auxiliary head is newly initialized: the weights have none of its '
      'shape'
      if new_aux
      else 'the auxiliary head is dropped: model.aux_head=False'
    )
    old = {path: x for path, x in old.items() if path[1] != 'aux'}
  kernel = old[_FIRST_KERNEL]
  match kernel.shape[2], new[_FIRST_KERNEL].shape[2]:
    case 3, 1:
      notes.append('the first kernel is summed over its 3 input channels')
      old[_FIRST_KERNEL] = jnp.sum(kernel, axis=2, keepdims=True)
    case 1, 3:
      notes.append('a third of the first kernel is repeated for 3 channels')
      old[_FIRST_KERNEL] = jnp.repeat(kernel / 3, 3, axis=2)

  if faults := _mismatches(new, old):
    raise UserError(f'{weights.origin} does not fit the config:', *faults)
  log.info('; '.join(notes))
  return traverse_util.unflatten_dict(
    {
      path: jax.device_put(old[path], leaf.sharding) if path in old else leaf
      for path, leaf in new.items()
    }
  )


def _num_classes(flat) -> int:
  return flat[_BIAS].size if _BIAS in flat else 0


def _is_classifier(path: tuple[str, ...]) -> bool:
  return path[1:3] in _CLASSIFIERS


def _aux_shapes(flat) -> dict[tuple[str, ...], tuple[int, ...]]:
  """Returns the shapes of the auxiliary head, without its classifier."""
  return {
    path: x.shape
    for path, x in flat.items()
    if path[1] == 'aux' and not _is_classifier(path)
  }


def _mismatches(new, old) -> list[str]:
  faults = []
  for path in sorted(new.keys() | old.keys()):
    name = '/'.join(path[1:])
    if path not in new:
      faults.append(f'  {name}: not in this network')
    elif path not in old:
      if not (_is_classifier(path) or path[1] == 'aux'):
        faults.append(f'  {name}: missing')
    elif old[path].shape != new[path].shape:
      faults.append(
        f'  {name}: shape {old[path].shape}, expected {new[path].shape}'
      )
  return faults

"""Trained weights in the place of new ones."""

import logging
from typing import Any

from flax import traverse_util
import jax
import jax.numpy as jnp

from inception_jax.errors import UserError
from inception_jax.weights.convert import Weights

log = logging.getLogger(__name__)

_FIRST_KERNEL = ('params', 'conv_1a', 'conv', 'kernel')

# Modules as wide as there are classes.
_PER_CLASS = (('head', 'dense'), ('head', 'bn_logits'), ('aux', 'head'))


def transfer(fresh: dict[str, Any], weights: Weights) -> dict[str, Any]:
  """Puts trained weights in the place of new ones, wherever they fit.

  Both classifiers stay new where the number of classes differs, and the
  auxiliary head where the weights have none like it. A first kernel for three
  channels is summed over them for one, so that a grey image gives what it
  gave in RGB. The log says all of that.

  Args:
    fresh: {'params', 'batch_stats'} as the network was initialised.
    weights: trained, of the same architecture.

  Returns:
    The same tree, each leaf placed where the fresh one was.

  Raises:
    UserError: anything else that differs, all of it.
  """
  new = traverse_util.flatten_dict(fresh)
  old = traverse_util.flatten_dict(weights.variables)
  says = [f'starting from {weights.origin}']

  bias = ('params', 'head', 'dense', 'bias')
  if old[bias].shape != new[bias].shape:
    says.append(
      f'{old[bias].size} → {new[bias].size} classes: the classifiers are '
      'made anew'
    )
    old = {path: x for path, x in old.items() if not _is_per_class(path)}
  aux = lambda tree: {
    path: x.shape
    for path, x in tree.items()
    if path[1] == 'aux' and not _is_per_class(path)
  }
  if aux(new) != aux(old):
    says.append(
      # Its kernel spans the whole grid of one image size.
      'the auxiliary head is made anew, since they have none like it'
      if aux(new)
      else 'their auxiliary head is left out: model.aux_head=False'
    )
    old = {path: x for path, x in old.items() if path[1] != 'aux'}
  if old[_FIRST_KERNEL].shape[2] == 3 and new[_FIRST_KERNEL].shape[2] == 1:
    says.append('the first kernel is summed over its 3 channels')
    kernel = jnp.sum(old[_FIRST_KERNEL], axis=2, keepdims=True)
    old[_FIRST_KERNEL] = kernel

  faults = []
  for path in sorted(new.keys() | old.keys()):
    name = '/'.join(path[1:])
    if path not in new:
      faults.append(f'  {name}: not in this network')
    elif path not in old:
      if not (_is_per_class(path) or path[1] == 'aux'):
        faults.append(f'  {name}: missing')
    elif old[path].shape != new[path].shape:
      faults.append(f'  {name}: {old[path].shape}, not {new[path].shape}')
  if faults:
    raise UserError(f'{weights.origin} does not fit the config:', *faults)
  log.info('; '.join(says))
  return traverse_util.unflatten_dict(
    {
      path: jax.device_put(old[path], leaf.sharding) if path in old else leaf
      for path, leaf in new.items()
    }
  )


def _is_per_class(path: tuple[str, ...]) -> bool:
  return path[1:3] in _PER_CLASS

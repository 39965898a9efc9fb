"""Finds the network among the tensors of a file, and its classifier.

A classifier has the framework's own name, or it is the user's: one dense layer
in its place under any name, several layers, or none.
"""

from collections.abc import Iterable
import logging
import re

import numpy as np

from inception_jax import errors
from inception_jax.models import architectures
from inception_jax.models import specs
from inception_jax.models.architectures import ARCHITECTURES
from inception_jax.weights import layout
from inception_jax.weights.sources import Source

log = logging.getLogger(__name__)

_MOST_NAMES = 10  # of tensors in a line of the log


def names(source: Source) -> tuple[frozenset[str], frozenset[str]]:
  """Returns the names of the body's tensors, and of the classifier's."""
  model = architectures.create(source.network_config(2, aux_head=False))
  body, head = set(), set()
  for mapping in layout.mappings(model, source):
    (head if mapping.path[1] == 'head' else body).add(mapping.name)
  return frozenset(body), frozenset(head)


def select(tensors, source: Source, prefix: str) -> dict[str, np.ndarray]:
  """Returns the network's tensors by their names without the prefix.

  A single dense layer of the user's on the pooled features gets the name of the
  framework's classifier. Other heads are left out, as are all tensors without
  the prefix; the log names them. Unknown tensors beside a classifier of the
  framework's, or in modules of the body, are kept.
  """
  inside, outside = {}, {}
  for name, array in tensors.items():
    if name.startswith(prefix):
      inside[name.removeprefix(prefix)] = array
    else:
      outside[name] = array
  body, head = names(source)
  modules = {_module(name) for name in body}
  is_users = lambda name: (
    not (name in head or _module(name) in modules or is_aux(name, source))
  )
  kernel = inside.get(_dense(source) + source.style.kernel)
  if head & inside.keys() and (
    _fits(kernel, source) or not any(map(is_users, inside))
  ):
    _log('ignored, outside of the network', outside)
    return inside
  network, users = {}, {}
  for name, array in inside.items():
    if name in head or is_users(name):
      users[prefix + name] = array
    else:
      network[name] = array
  layers = _layers(users)
  layers = layers or _without_vectors(_layers(outside), source)
  only = next(iter(layers)) if len(layers) == 1 else ''
  if only and _is_classifier(layers[only], source):
    dense = {_dense(source) + k: x for k, x in layers[only].items()}
    log.info(
      'the classifier is %s, taken to read the average-pooled features: %d '
      'classes',
      only.rstrip('./'),
      num_classes(dense, source),
    )
    network |= dense
    outside = {k: x for k, x in outside.items() if _folder(k) != only}
  else:
    log.warning('imported without a classifier: fine-tuning adds a new one')
    layer_names = [name.rstrip('./') for name in layers]
    _log('not one dense layer on the pooled features, ignored', layer_names)
    outside = {k: x for k, x in outside.items() if _folder(k) not in layers}
  _log('ignored, outside of the network', outside)
  return network


def num_classes(tensors, source: Source, unit: str = '') -> int:
  """Returns the outputs of a dense layer, the classifier; 0 if it is missing.

  `tensors` are named as by `select`; `unit` is another layer's name.
  """
  prefix = source.style.layer_prefix(unit) if unit else _dense(source)
  bias = tensors.get(prefix + source.style.bias)
  if bias is not None:
    return bias.size
  kernel = tensors.get(prefix + source.style.kernel)
  if kernel is None or not kernel.ndim:
    return 0
  return layout.to_flax(kernel, 'dense', source.style).shape[-1]


def is_aux(name: str, source: Source) -> bool:
  """Returns whether a tensor is in the module of the auxiliary head."""
  aux = source.names.aux
  return bool(aux) and name.startswith(_folder(aux[0]))


def _dense(source: Source) -> str:
  """Returns the prefix of the classifier's dense layer."""
  head = source.names.head
  return source.style.layer_prefix((head[1:] or head)[0])


def _module(name: str) -> str:
  return re.split('[./]', name)[0]


def _folder(name: str) -> str:
  """Returns a name up to its last separator."""
  return name[: max(name.rfind('.'), name.rfind('/')) + 1]


def _layers(tensors) -> dict[str, dict[str, np.ndarray]]:
  """Groups tensors: {prefix of a layer: {rest of the name: array}}."""
  layers = {}
  for name, array in tensors.items():
    prefix = _folder(name)
    layers.setdefault(prefix, {})[name.removeprefix(prefix)] = array
  return layers


def _without_vectors(layers, source: Source):
  """Drops what is no layer: weights of a loss, counts of a metric."""
  kernel = source.style.kernel
  return {
    prefix: layer
    for prefix, layer in layers.items()
    if len(layer) > 1 or (kernel in layer and layer[kernel].ndim > 1)
  }


def _is_classifier(layer, source: Source) -> bool:
  style = source.style
  own = source.network_config(2, aux_head=False)
  return (
    layer.keys() == {style.kernel, style.bias}
    and _fits(layer[style.kernel], source)
    and not own.head_batch_norm
  )


def _fits(kernel, source: Source) -> bool:
  """Returns whether a dense layer reads the pooled features."""
  if kernel is None:
    return False
  shape = layout.to_flax(kernel, 'dense', source.style).shape
  architecture = ARCHITECTURES[source.network_name]
  table = architecture.stems[source.network_config(2, False).stem]
  table += architecture.body
  chain = specs.mixed(tuple(spec for _, spec in table))
  return len(shape) == 2 and shape[0] == specs.output_features(chain, 3)


def _log(what: str, tensors: Iterable[str]) -> None:
  if tensors:
    log.info('%s: %s', what, ', '.join(errors.shorten([*tensors], _MOST_NAMES)))

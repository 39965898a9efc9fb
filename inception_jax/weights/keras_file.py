"""Reads Keras's files: HDF5 of Keras 2 and 3, and the `.keras` archive.

Keras numbers layers without an explicit name over the whole session in which
the network was created; the result here numbers each kind of layer from 0, in
each model of a nested one.
"""

import collections
import io
import math
import os
import re
import zipfile

import h5py
import numpy as np

from inception_jax.weights import keras_names
from inception_jax.weights import limits

_NUMBERED_LAYER = re.compile(r'(conv2d|batch_normalization)(?:_(\d+))?')
# Where Keras 3 keeps a model's layers, and other variables.
_CONTAINERS = ('layers', '_layers')
_NO_LAYERS = frozenset(('optimizer', 'metrics'))
# Layers by scope, the model that they are in, and name: variables by name.
Layers = dict[tuple[str, str], dict[str, h5py.Dataset]]


def read(path: str) -> dict[str, np.ndarray]:
  """Reads a `.h5`, `.weights.h5` or `.keras`: {'conv2d_0/kernel': array, …}.

  Layers of a model inside the outermost one have its name, or the attribute
  that holds it, as a prefix: 'inception_v3/conv2d_0/kernel'.

  Raises:
    OSError, ValueError, KeyError, zipfile.BadZipFile: the file is malformed.
  """
  if not zipfile.is_zipfile(path):
    return _read_hdf5(path, os.path.getsize(path))
  # The archive's config.json, whose Lambda layers are code, is not read.
  content = limits.read_stored(path, 'model.weights.h5')
  return _read_hdf5(io.BytesIO(content), len(content))


def _read_hdf5(file, size: int) -> dict[str, np.ndarray]:
  """Reads a file of `size` bytes, none of whose values lie elsewhere."""
  with h5py.File(file, 'r') as root:
    is_link = lambda name, link: (
      None if isinstance(link, h5py.HardLink) else name
    )
    if name := root.visititems_links(is_link):
      raise ValueError(f'{name} is a link, perhaps to another file')
    is_keras_3 = 'layers' in root or 'vars' in root
    read = _keras_3_layers if is_keras_3 else _keras_2_layers
    datasets = _numbered_from_0(read(root))
    limits.check_size(sum(map(_nbytes, datasets.values())), size)
    return {name: np.asarray(x) for name, x in datasets.items()}


def _nbytes(dataset: h5py.Dataset) -> int:
  """Returns the bytes of a dataset that lies in the file as it is.

  HDF5 makes the values of others up: of a fill value, of compressed chunks,
  of other files.
  """
  # Not dataset.nbytes, which overflows.
  nbytes = math.prod(dataset.shape) * dataset.dtype.itemsize
  options = dataset.id.get_create_plist()
  if (
    options.get_layout() not in (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT)
    or options.get_external_count()
    or dataset.dtype.hasobject
    or dataset.id.get_storage_size() != nbytes
  ):
    raise ValueError(
      f'{dataset.name} is empty, compressed or in another file; save it anew '
      'with Keras'
    )
  return nbytes


def _keras_3_layers(root) -> Layers:
  """Reads `…/vars/0…`, whose attribute `name` is the layer's name."""
  items = {}
  root.visititems(items.__setitem__)
  groups = {
    tuple(path.split('/')[:-1]): item
    for path, item in items.items()
    if path.endswith('/vars') and isinstance(item, h5py.Group)
  }
  layers, nameless = {}, False
  for path, variables in groups.items():
    if not len(variables) or not _NO_LAYERS.isdisjoint(path):
      continue
    *scope, name = path
    if 'name' in variables.attrs:
      # Many strings of an array may be one long one in the file.
      if variables.attrs.get_id('name').shape:
        raise ValueError('a layer has several names')
      name = str(variables.attrs['name'])
    else:
      nameless = True
    # The attributes of a model that hold its layers say nothing.
    scope = '/'.join(part for part in scope if part not in _CONTAINERS)
    suffixes = _variable_names(name, len(variables))
    layers[scope, name] = {
      suffix: variables[str(i)] for i, suffix in enumerate(suffixes)
    }
  return _named(layers) if nameless else layers


def _named(layers: Layers) -> Layers:
  """Names layers that Keras numbered in the order of `model.layers`.

  As Keras 2 and the first of 3 did; the names follow from that order.
  """
  convs = collections.Counter(
    scope for scope, layer in layers if layer.startswith('conv2d')
  )
  orders = {scope: keras_names.in_order(n) for scope, n in convs.items()}
  named = {}
  for (scope, layer), variables in layers.items():
    if match := _NUMBERED_LAYER.fullmatch(layer):
      names = orders.get(scope, {}).get(match[1], [])
      place = int(match[2] or 0)
      # Layers of the user's follow those of the network.
      layer = names[place] if place < len(names) else layer
    named[scope, layer] = variables
  return named


def _variable_names(layer: str, count: int) -> tuple[str, ...]:
  """Returns the names of a layer's variables, which are numbered in a file."""
  if 'batch_normalization' in layer or layer.endswith('_bn'):
    without_scale = ('beta', 'moving_mean', 'moving_variance')
    names = ('gamma', *without_scale) if count == 4 else without_scale
  else:
    names = ('kernel', 'bias')[:count]
  # Layers of other kinds, which no network here has.
  return names if count == len(names) else tuple(map(str, range(count)))


def _keras_2_layers(root) -> Layers:
  """Reads `LAYER/…/VARIABLE:0`, in `model_weights` of a whole model.

  The outermost folder is a layer's, or an inner model's, in which there are
  several layers.
  """
  items = {}
  root.get('model_weights', root).visititems(items.__setitem__)
  paths = [path for path, x in items.items() if isinstance(x, h5py.Dataset)]
  inside = {}
  for path in paths:
    inside.setdefault(path.split('/')[0], set()).add(path.rpartition('/')[0])
  layers = {}
  for path in paths:
    folder, _, name = path.rpartition('/')
    scope, _, layer = folder.partition('/')
    if len(inside[path.split('/')[0]]) == 1:  # a layer
      scope, layer = '', scope
    layer = scope, layer.rpartition('/')[2]
    layers.setdefault(layer, {})[name.removesuffix(':0')] = items[path]
  return layers


def _numbered_from_0(layers: Layers) -> dict[str, h5py.Dataset]:
  """Names the variables, with the layers of each scope numbered from 0."""
  numbers = {}
  for scope, layer in layers:
    if match := _NUMBERED_LAYER.fullmatch(layer):
      numbers.setdefault((scope, match[1]), []).append(int(match[2] or 0))
  for group in numbers.values():
    group.sort()
  tensors = {}
  for (scope, layer), arrays in layers.items():
    if match := _NUMBERED_LAYER.fullmatch(layer):
      rank = numbers[scope, match[1]].index(int(match[2] or 0))
      layer = f'{match[1]}_{rank}'
    prefix = f'{scope}/{layer}' if scope else layer
    for name, array in arrays.items():
      tensors[f'{prefix}/{name}'] = array
  return tensors

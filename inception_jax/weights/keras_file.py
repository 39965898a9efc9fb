"""Reads Keras's files: HDF5 of Keras 2 and 3, and the `.keras` archive.

Keras numbers layers without an explicit name over the whole session in which
the network was created; the result here numbers each kind of layer from 0.
"""

import io
import math
import os
import re
import zipfile

import h5py
import numpy as np

from inception_jax.weights import limits

_NUMBERED_LAYER = re.compile(r'(conv2d|batch_normalization)(?:_(\d+))?')
# In the order of the variables' numbers in a Keras 3 file.
_VARIABLES = {
  'batch_normalization': ('beta', 'moving_mean', 'moving_variance'),
  'other': ('kernel', 'bias'),
}


def read(path: str) -> dict[str, np.ndarray]:
  """Reads a `.h5`, `.weights.h5` or `.keras`: {'conv2d_0/kernel': array, …}.

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
    read = _keras_3_layers if 'layers' in root else _keras_2_layers
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


def _keras_3_layers(root) -> dict[str, dict[str, h5py.Dataset]]:
  """Reads `layers/*/vars/0…`, whose attribute `name` is the layer's name."""
  layers = {}
  for group in root['layers'].values():
    if not len(group.get('vars', ())):
      continue
    variables = group['vars']
    if 'name' not in variables.attrs:
      raise ValueError(
        'the layers have no names; save the whole model with a newer Keras'
      )
    # Many strings of an array may be one long one in the file.
    if variables.attrs.get_id('name').shape:
      raise ValueError('a layer has several names')
    name = str(variables.attrs['name'])
    is_norm = 'batch_normalization' in name or name.endswith('_bn')
    suffixes = _VARIABLES['batch_normalization' if is_norm else 'other']
    if len(variables) > len(suffixes):
      raise ValueError(f'layer {name} has {len(variables)} variables')
    layers[name] = {
      suffixes[i]: variables[str(i)] for i in range(len(variables))
    }
  return layers


def _keras_2_layers(root) -> dict[str, dict[str, h5py.Dataset]]:
  """Reads `LAYER/…/VARIABLE:0`, in `model_weights` of a whole model."""
  items, layers = {}, {}
  root.get('model_weights', root).visititems(items.__setitem__)
  for path, item in items.items():
    if isinstance(item, h5py.Dataset):
      layer, *_, name = path.split('/')
      layers.setdefault(layer, {})[name.removesuffix(':0')] = item
  return layers


def _numbered_from_0(layers) -> dict[str, h5py.Dataset]:
  numbers = {'conv2d': [], 'batch_normalization': []}
  for layer in layers:
    if match := _NUMBERED_LAYER.fullmatch(layer):
      numbers[match[1]].append(int(match[2] or 0))
  tensors = {}
  for layer, arrays in layers.items():
    if match := _NUMBERED_LAYER.fullmatch(layer):
      kind = match[1]
      rank = sorted(numbers[kind]).index(int(match[2] or 0))
      layer = f'{kind}_{rank}'
    for name, array in arrays.items():
      tensors[f'{layer}/{name}'] = array
  return tensors

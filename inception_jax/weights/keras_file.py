"""Reads Keras's files: HDF5 of Keras 2 and 3, and the `.keras` archive.

Keras numbers layers without an explicit name over the whole session in which
the network was created; the result here numbers each kind of layer from 0.
"""

import io
import re
import zipfile

import h5py
import numpy as np

# About ten times the largest network of the family, which has 225 MB.
_MAX_BYTES = 2**31
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
    return _read_hdf5(path)
  with zipfile.ZipFile(path) as archive:
    member = archive.getinfo('model.weights.h5')
    if member.file_size > _MAX_BYTES:
      raise ValueError(
        f'the unpacked weights would take {member.file_size} bytes'
      )
    return _read_hdf5(io.BytesIO(archive.read(member)))


def _read_hdf5(file) -> dict[str, np.ndarray]:
  with h5py.File(file, 'r') as root:
    read = _keras_3_layers if 'layers' in root else _keras_2_layers
    return _numbered_from_0(read(root))


def _keras_3_layers(root) -> dict[str, dict[str, np.ndarray]]:
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
    name = str(variables.attrs['name'])
    is_norm = 'batch_normalization' in name or name.endswith('_bn')
    suffixes = _VARIABLES['batch_normalization' if is_norm else 'other']
    if len(variables) > len(suffixes):
      raise ValueError(f'layer {name} has {len(variables)} variables')
    layers[name] = {
      suffixes[i]: _array(variables[str(i)]) for i in range(len(variables))
    }
  return layers


def _keras_2_layers(root) -> dict[str, dict[str, np.ndarray]]:
  """Reads the layers in `layer_names`, with their `weight_names`."""
  root = root.get('model_weights', root)
  layers = {}
  for layer in map(_text, root.attrs['layer_names']):
    names = list(map(_text, root[layer].attrs['weight_names']))
    if names:
      layers[layer] = {
        name.split('/')[-1].removesuffix(':0'): _array(root[layer][name])
        for name in names
      }
  return layers


def _text(name) -> str:
  return name.decode() if isinstance(name, bytes) else str(name)


def _array(dataset) -> np.ndarray:
  if dataset.size * dataset.dtype.itemsize > _MAX_BYTES:
    raise ValueError(f'{dataset.name} has {dataset.size} values')
  return np.asarray(dataset)


def _numbered_from_0(layers) -> dict[str, np.ndarray]:
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

"""Keras's files: HDF5 of Keras 2 and 3, and the `.keras` archive.

Layers without a name of their own are numbered over the whole session in
which a network was made; here, each kind is counted from 0.
"""

import io
import re
import zipfile

import h5py
import numpy as np

# The largest network of the family has 225 MB of weights.
_MOST_BYTES = 2**31

_NUMBERED = re.compile(r'(conv2d|batch_normalization)(?:_(\d+))?')

# In the order in which a Keras 3 file numbers a layer's variables.
_VARIABLES = {
  'batch_normalization': ('beta', 'moving_mean', 'moving_variance'),
  'other': ('kernel', 'bias'),
}


def read(path: str) -> dict[str, np.ndarray]:
  """{'conv2d_0/kernel': array, …} of a `.h5`, `.weights.h5` or `.keras`.

  Raises:
    OSError, ValueError, KeyError, zipfile.BadZipFile: it cannot be read.
  """
  if not zipfile.is_zipfile(path):
    return _hdf5(path)
  with zipfile.ZipFile(path) as archive:
    member = archive.getinfo('model.weights.h5')
    if member.file_size > _MOST_BYTES:
      raise ValueError(f'its weights unpack to {member.file_size} bytes')
    return _hdf5(io.BytesIO(archive.read(member)))


def _hdf5(file) -> dict[str, np.ndarray]:
  with h5py.File(file, 'r') as root:
    if 'layers' in root:
      layers = _of_keras_3(root)
    else:
      layers = _of_keras_2(root)
  return _counted_from_0(layers)


def _of_keras_3(root) -> dict[str, dict[str, np.ndarray]]:
  """The layers of `layers/*/vars/0…`, each of which says its name."""
  layers = {}
  for group in root['layers'].values():
    if not len(group.get('vars', ())):
      continue
    variables = group['vars']
    if 'name' not in variables.attrs:
      raise ValueError(
        'its layers have no names; save the whole model with a newer Keras'
      )
    name = str(variables.attrs['name'])
    is_norm = 'batch_normalization' in name or name.endswith('_bn')
    endings = _VARIABLES['batch_normalization' if is_norm else 'other']
    arrays = [variables[str(i)] for i in range(len(variables))]
    if len(arrays) > len(endings):
      raise ValueError(f'layer {name} has {len(arrays)} variables')
    layers[name] = {
      ending: _array(array)
      for ending, array in zip(endings, arrays, strict=False)
    }
  return layers


def _of_keras_2(root) -> dict[str, dict[str, np.ndarray]]:
  """The layers that `layer_names` lists, with their `weight_names`."""
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
  if dataset.size * dataset.dtype.itemsize > _MOST_BYTES:
    raise ValueError(f'{dataset.name} has {dataset.size} values')
  return np.asarray(dataset)


def _counted_from_0(layers) -> dict[str, np.ndarray]:
  numbers = {'conv2d': [], 'batch_normalization': []}
  for layer in layers:
    if match := _NUMBERED.fullmatch(layer):
      numbers[match[1]].append(int(match[2] or 0))
  tensors = {}
  for layer, arrays in layers.items():
    if match := _NUMBERED.fullmatch(layer):
      kind = match[1]
      rank = sorted(numbers[kind]).index(int(match[2] or 0))
      layer = f'{kind}_{rank}'
    for name, array in arrays.items():
      tensors[f'{layer}/{name}'] = array
  return tensors

"""Reads the weight files of other frameworks: path → named numpy arrays.

Files are untrusted: see `torch_file` for pickles, `keras_file` for HDF5. The
sizes of all arrays are checked before they are read (`limits`). Every failure
is a UserError of one line.
"""

from collections.abc import Callable
import dataclasses
import glob
import math
import os
from typing import Any

import numpy as np

from inception_jax import errors
from inception_jax import extras
from inception_jax import inputs
from inception_jax.errors import UserError
from inception_jax.weights import graph_file
from inception_jax.weights import limits
from inception_jax.weights import mindspore_file
from inception_jax.weights import torch_file

_MAX_INDEX = 2**24  # bytes
_TF_TABLE_MAGIC = 0xDB4775248B80FB57.to_bytes(8, 'little')


@dataclasses.dataclass(frozen=True)
class Format:
  """A file format.

  Attributes:
    name: its name in messages.
    read: path → {name: array}.
    frameworks: those whose networks it can hold, the likeliest first.
  """

  name: str
  read: Callable[[str], dict[str, np.ndarray]]
  frameworks: tuple[str, ...]


def read(path: str) -> tuple[dict[str, np.ndarray], Format]:
  """Reads a file's numeric tensors by name, and returns its format, too.

  Raises:
    UserError: the file is missing, unreadable or of an unknown format.
  """
  file_format = _format(path)
  try:
    limits.check_size(_size(path))  # a sparse file takes no room on a disk
    tensors = file_format.read(path)
  except (UserError, ImportError):
    raise  # the file is not at fault, or the message is complete
  except Exception as error:  # the libraries have no common base class
    raise UserError(
      f'{path} cannot be read as {file_format.name}, it may be truncated: '
      f'{errors.one_line(error)}'
    ) from error
  numeric = {
    name: array
    for name, array in tensors.items()
    # 'V' is ml_dtypes' bfloat16.
    if isinstance(array, np.ndarray) and array.dtype.kind in 'fiuV'
  }
  return numeric, file_format


def _format(path: str) -> Format:
  if os.path.isfile(f'{path}.index'):
    return TF_CHECKPOINT
  if '://' in path:
    raise UserError(
      f'{path}: weights are read from local files, gs://, s3:// and '
      'hf-hub:OWNER/NAME; download the file first'
    )
  if not os.path.isfile(path):
    raise UserError(f'{path}: no such file')
  for suffix, file_format in _BY_SUFFIX.items():
    if path.endswith(suffix):
      return file_format
  if path.endswith('.ckpt'):
    if _is_tf_table(path):
      return TF_CHECKPOINT
    return PTH if _is_pickle(path) else MINDSPORE
  known = ', '.join([*_BY_SUFFIX, '.ckpt'])
  raise UserError(f'{path}: expected a file that ends in {known}')


def _size(path: str) -> int:
  """Returns the bytes of a file, or of a TensorFlow checkpoint's files."""
  shards = glob.glob(f'{glob.escape(path)}.data-*')
  files = [path, f'{path}.index', *shards]
  return sum(map(os.path.getsize, filter(os.path.isfile, files)))


def _is_tf_table(path: str) -> bool:
  """Returns whether it is in TensorFlow's first checkpoint format, one file."""
  with open(path, 'rb') as file:
    file.seek(max(0, os.path.getsize(path) - 8))
    return file.read() == _TF_TABLE_MAGIC


def _is_pickle(path: str) -> bool:
  """Returns whether it is torch's, as of Lightning: a zip, or a bare pickle."""
  with open(path, 'rb') as file:
    return file.read(4).startswith((b'PK\3\4', b'\x80'))


def _safetensors(path: str) -> dict[str, np.ndarray]:
  import ml_dtypes  # noqa: F401 (registers bfloat16 with numpy)
  import safetensors.numpy

  return safetensors.numpy.load_file(path)


def _read_index(path: str) -> dict[str, str]:
  """Returns the file of each tensor, all beside the index at `path`."""
  with open(path, 'rb') as file:
    index = inputs.parse_json(file.read(_MAX_INDEX))
  shard_of = index['weight_map']
  for name in set(shard_of.values()):
    if os.path.basename(name) != name:
      raise ValueError(f'{name} is not the name of a file beside it')
  return shard_of


def shard_names(path: str) -> list[str]:
  """Returns the files that an index of several safetensors names.

  Raises:
    UserError: it is no such index.
  """
  try:
    return sorted(set(_read_index(path).values()))
  except (KeyError, TypeError, ValueError, AttributeError) as error:
    raise UserError(
      f'{path} is no index of safetensors: {errors.one_line(error)}'
    ) from error


def _shards(path: str) -> dict[str, np.ndarray]:
  """Reads the files that an index of several safetensors names."""
  shard_of = _read_index(path)
  files = sorted(set(shard_of.values()))
  folder = os.path.dirname(path)
  paths = {name: os.path.join(folder, name) for name in files}
  if missing := [name for name in files if not os.path.isfile(paths[name])]:
    raise ValueError(f'{", ".join(missing)}: no such file beside it')
  limits.check_size(sum(map(os.path.getsize, paths.values())))
  tensors = {}
  for name in files:
    shard = _safetensors(paths[name])
    if wrong := [k for k in shard if shard_of.get(k) != name]:
      raise ValueError(f'{wrong[0]} of {name} is not in the index')
    tensors |= shard
  if missing := shard_of.keys() - tensors.keys():
    raise ValueError(f'{min(missing)} is in no file')
  return tensors


def open_tf_checkpoint(path: str) -> tuple[Any, list[str]]:
  """Returns TensorFlow's reader, and the names of the numeric tensors.

  Raises:
    ValueError: they are larger than the files.
  """
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  import tensorflow as tf

  reader = tf.train.load_checkpoint(path)
  shapes = reader.get_variable_to_shape_map()
  types = {
    name: dtype
    for name, dtype in reader.get_variable_to_dtype_map().items()
    if dtype.is_floating or dtype.is_integer
  }
  nbytes = sum(math.prod(shapes[name]) * types[name].size for name in types)
  limits.check_size(nbytes, _size(path))
  return reader, list(types)


def _tf_checkpoint(path: str) -> dict[str, np.ndarray]:
  reader, names = open_tf_checkpoint(path)
  return {name: np.asarray(reader.get_tensor(name)) for name in names}


def _keras(path: str) -> dict[str, np.ndarray]:
  with extras.imports():
    from inception_jax.weights import keras_file

  return keras_file.read(path)


SAFETENSORS = Format(
  'safetensors', _safetensors, ('timm', 'weiaicunzai', 'pytorch-fid')
)
SHARDS = dataclasses.replace(SAFETENSORS, read=_shards)
PTH = Format(
  "torch's format",
  torch_file.read,
  ('torchvision', 'weiaicunzai', 'timm', 'pytorch-fid'),
)
# As timm's train.py and the hub name their files.
TIMM_PTH = dataclasses.replace(
  PTH, frameworks=('timm', 'torchvision', 'weiaicunzai', 'pytorch-fid')
)
KERAS = Format("Keras's HDF5", _keras, ('Keras',))
TF_CHECKPOINT = Format('a TensorFlow checkpoint', _tf_checkpoint, ('TF-slim',))
MINDSPORE = Format(
  "MindSpore's checkpoint", mindspore_file.read, ('MindSpore', 'MindCV')
)
GRAPH = Format('a frozen TensorFlow graph', graph_file.read, ('TensorFlow',))
_BY_SUFFIX = {
  '.safetensors': SAFETENSORS,
  '.safetensors.index.json': SHARDS,
  '.pth.tar': TIMM_PTH,
  '.bin': TIMM_PTH,
  '.pth': PTH,
  '.pt': PTH,
  '.h5': KERAS,
  '.hdf5': KERAS,
  '.keras': KERAS,
  '.pb': GRAPH,
}

"""Reads the weight files of other frameworks: path → named numpy arrays.

Files are untrusted: only torch reads pickles, with `weights_only=True`. The
sizes of all arrays are checked before they are read (`limits`). Every failure
is a UserError of one line.
"""

from collections.abc import Callable
import dataclasses
import glob
import math
import mmap
import os
import re
from typing import Any
import zipfile

import numpy as np

from inception_jax import errors
from inception_jax.errors import UserError
from inception_jax.weights import keras_file
from inception_jax.weights import limits
from inception_jax.weights import mindspore_file

_MIN_TORCH = (2, 10)
# Keys under which training scripts store the network, averaged weights first.
_STATE_DICTS = (
  'state_dict_ema',
  'model_ema',
  'state_dict',
  'model',
  'model_state_dict',
  'net',
)
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
  if not os.path.isfile(path):
    raise UserError(f'{path}: no such file')
  for suffix, file_format in _BY_SUFFIX.items():
    if path.endswith(suffix):
      return file_format
  if path.endswith('.ckpt'):
    return TF_CHECKPOINT if _is_tf_table(path) else MINDSPORE
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


def _safetensors(path: str) -> dict[str, np.ndarray]:
  import ml_dtypes  # noqa: F401 (registers bfloat16 with numpy)
  import safetensors.numpy

  return safetensors.numpy.load_file(path)


def _pth(path: str) -> dict[str, np.ndarray]:
  _check_pth(path)
  needed = '.'.join(map(str, _MIN_TORCH))
  hint = f'pip install "torch>={needed}", or save it as safetensors'
  try:
    import torch
  except ImportError as error:
    raise UserError(f'{path}: torch is needed to read it: {hint}') from error
  version = tuple(int(n) for n in re.findall(r'\d+', torch.__version__)[:2])
  if version < _MIN_TORCH:
    raise UserError(
      f'{path}: torch {torch.__version__} cannot read pickles safely: {hint}'
    )
  try:
    # Rejects everything but tensors and plain containers.
    content = torch.load(path, map_location='cpu', weights_only=True)
  except Exception as error:
    raise UserError(
      f'{path} is damaged, or has objects other than tensors, which could run '
      f'code on loading; save only its state_dict: {errors.one_line(error)}'
    ) from error
  for key in _STATE_DICTS:
    if isinstance(content, dict) and isinstance(content.get(key), dict):
      content = content[key]
      break
  if not isinstance(content, dict):
    raise UserError(f'{path}: expected a state_dict, not {type(content)}')
  tensors = {
    name: tensor
    for name, tensor in content.items()
    if isinstance(tensor, torch.Tensor)
  }
  # A tensor may repeat its values, or be larger than what the file has of it.
  nbytes = sum(x.numel() * x.element_size() for x in tensors.values())
  limits.check_size(nbytes, _size(path))
  return {name: tensor.float().numpy() for name, tensor in tensors.items()}


def _check_pth(path: str) -> None:
  """Raises ValueError if torch would unpack, or make up, more than it reads."""
  if zipfile.is_zipfile(path):
    with zipfile.ZipFile(path) as archive:
      limits.check_stored(archive.infolist(), _size(path))
  with (
    open(path, 'rb') as file,
    mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
  ):
    # What the pickle may call with a number, for as many zeros.
    if content.find(b'bytearray') >= 0:
      raise ValueError('it has a bytearray')


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


SAFETENSORS = Format('safetensors', _safetensors, ('timm', 'weiaicunzai'))
PTH = Format("torch's format", _pth, ('torchvision', 'weiaicunzai', 'timm'))
KERAS = Format("Keras's HDF5", keras_file.read, ('Keras',))
TF_CHECKPOINT = Format('a TensorFlow checkpoint', _tf_checkpoint, ('TF-slim',))
MINDSPORE = Format(
  "MindSpore's checkpoint", mindspore_file.read, ('MindSpore', 'MindCV')
)
_BY_SUFFIX = {
  '.safetensors': SAFETENSORS,
  '.pth': PTH,
  '.pt': PTH,
  '.h5': KERAS,
  '.hdf5': KERAS,
  '.keras': KERAS,
}

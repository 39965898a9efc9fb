"""Reads the weight files of other frameworks: path → named numpy arrays.

What comes from outside is hostile until checked: pickles are read by torch
with `weights_only=True` or not at all, archives are bounded before they are
unpacked, and whatever is wrong with a file is said in a line.
"""

from collections.abc import Callable
import dataclasses
import os
import re
import struct

import numpy as np

from inception_jax.errors import UserError
from inception_jax.weights import keras_file
from inception_jax.weights import mindspore_file

TORCH_AT_LEAST = (2, 10)

# Where training scripts put the network, the averaged one first.
_STATE_DICTS = ('state_dict_ema', 'model_ema', 'state_dict', 'model')

_STATE_DICTS += ('model_state_dict', 'net')

_TF_TABLE_MAGIC = 0xDB4775248B80FB57


@dataclasses.dataclass(frozen=True)
class Format:
  """A kind of file.

  Attributes:
    name: for people.
    read: path → {name: array}.
    frameworks: whose networks it can hold.
  """

  name: str
  read: Callable[[str], dict[str, np.ndarray]]
  frameworks: tuple[str, ...]


def read(path: str) -> tuple[dict[str, np.ndarray], Format]:
  """The tensors of a file, and what kind of file it is.

  Raises:
    UserError: there is none, or it cannot be read.
  """
  path = os.path.expanduser(path)
  file_format = _format(path)
  try:
    tensors = file_format.read(path)
  except (UserError, ImportError):  # not the file's fault
    raise
  except Exception as error:  # each library has a dozen of its own
    raise UserError(
      f'{path} cannot be read as {file_format.name}, it may be truncated: '
      f'{_in_a_line(error)}'
    ) from error
  numbers = {
    name: array
    for name, array in tensors.items()
    if isinstance(array, np.ndarray) and array.dtype.kind in 'fiuV'
  }
  return numbers, file_format


def _in_a_line(error: Exception) -> str:
  return (' '.join(str(error).split()) or type(error).__name__)[:200]


def _format(path: str) -> Format:
  if os.path.exists(f'{path}.index'):
    return TF_CHECKPOINT
  if not os.path.isfile(path):
    raise UserError(f'{path}: no such file')
  for ending, file_format in _BY_ENDING.items():
    if path.endswith(ending):
      return file_format
  if path.endswith('.ckpt'):
    return TF_CHECKPOINT if _is_tf_table(path) else MINDSPORE
  known = ', '.join([*_BY_ENDING, '.ckpt'])
  raise UserError(f'{path}: expected a file that ends in {known}')


def _is_tf_table(path: str) -> bool:
  """Whether it is a checkpoint of TensorFlow's first format, one file."""
  with open(path, 'rb') as file:
    file.seek(0, os.SEEK_END)
    if file.tell() < 8:
      return False
    file.seek(-8, os.SEEK_END)
    return struct.unpack('<Q', file.read(8))[0] == _TF_TABLE_MAGIC


def _safetensors(path: str) -> dict[str, np.ndarray]:
  import ml_dtypes  # noqa: F401 (numpy then knows bfloat16)
  import safetensors.numpy

  return safetensors.numpy.load_file(path)


def _pth(path: str) -> dict[str, np.ndarray]:
  needed = '.'.join(map(str, TORCH_AT_LEAST))
  hint = f'pip install "torch>={needed}", or save it as safetensors'
  try:
    import torch
  except ImportError as error:
    raise UserError(f'{path}: reading it takes torch: {hint}') from error
  version = tuple(int(n) for n in re.findall(r'\d+', torch.__version__)[:2])
  if version < TORCH_AT_LEAST:
    raise UserError(
      f'{path}: torch {torch.__version__} does not read pickles safely: {hint}'
    )
  try:
    # Refuses everything but tensors and plain containers.
    content = torch.load(path, map_location='cpu', weights_only=True)
  except Exception as error:
    raise UserError(
      f'{path} is damaged, or holds more than tensors, which loading could '
      f'run as code; save its state_dict alone: {_in_a_line(error)}'
    ) from error
  for key in _STATE_DICTS:
    if isinstance(content, dict) and isinstance(content.get(key), dict):
      content = content[key]
      break
  if not isinstance(content, dict):
    raise UserError(f'{path}: expected a state_dict, not {type(content)}')
  return {
    name: tensor.float().numpy()
    for name, tensor in content.items()
    if isinstance(tensor, torch.Tensor)
  }


def _tf_checkpoint(path: str) -> dict[str, np.ndarray]:
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  import tensorflow as tf

  reader = tf.train.load_checkpoint(path)
  shapes = reader.get_variable_to_shape_map()
  return {name: np.asarray(reader.get_tensor(name)) for name in shapes}


SAFETENSORS = Format('safetensors', _safetensors, ('timm', 'weiaicunzai'))

PTH = Format("torch's format", _pth, ('torchvision', 'weiaicunzai', 'timm'))

KERAS = Format("Keras's HDF5", keras_file.read, ('Keras',))

TF_CHECKPOINT = Format('a TensorFlow checkpoint', _tf_checkpoint, ('TF-slim',))

MINDSPORE = Format(
  "MindSpore's checkpoint", mindspore_file.read, ('MindSpore', 'MindCV')
)

_BY_ENDING = {
  '.safetensors': SAFETENSORS,
  '.pth': PTH,
  '.pt': PTH,
  '.h5': KERAS,
  '.hdf5': KERAS,
  '.keras': KERAS,
}

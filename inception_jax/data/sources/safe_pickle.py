"""Unpickling restricted to plain containers and numpy arrays.

An unrestricted pickle can call any function by name.
"""

import io
import pickle
from typing import Any

import numpy as np


def loads(content: bytes) -> Any:
  """Loads a pickle of Python 2 or 3; strings of Python 2 become bytes.

  Raises:
    pickle.UnpicklingError: it refers to anything but numpy arrays.
  """
  return _Unpickler(io.BytesIO(content), encoding='bytes').load()


class _Unpickler(pickle.Unpickler):
  def find_class(self, module, name):
    match module.replace('numpy.core.', 'numpy._core.'), name:
      case 'numpy._core.multiarray', '_reconstruct':
        return np._core.multiarray._reconstruct
      case 'numpy', ('ndarray' | 'dtype'):
        return getattr(np, name)
      case '_codecs', 'encode':
        return _as_latin1
    raise pickle.UnpicklingError(f'it refers to {module}.{name}')


def _as_latin1(text: str, encoding: str) -> bytes:
  """Stands in for the `_codecs.encode` with which protocol 2 writes bytes."""
  if encoding != 'latin1':
    raise pickle.UnpicklingError(f'it refers to the encoding {encoding}')
  return text.encode('latin1')

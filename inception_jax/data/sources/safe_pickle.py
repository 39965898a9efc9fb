"""Pickles of plain containers and numpy arrays, and of nothing else.

A pickle may call any function that it can name.
"""

import io
import pickle
from typing import Any

import numpy as np


def loads(content: bytes) -> Any:
  """What a pickle of Python 2 or 3 holds; its strings come as bytes.

  Raises:
    pickle.UnpicklingError: it names anything but what arrays are made of.
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
    raise pickle.UnpicklingError(f'it names {module}.{name}')


def _as_latin1(text: str, encoding: str) -> bytes:
  """How Python 3 writes bytes for Python 2."""
  if encoding != 'latin1':
    raise pickle.UnpicklingError(f'it names the encoding {encoding}')
  return text.encode('latin1')

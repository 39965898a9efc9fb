"""Checks of a checkpoint's files, before orbax reads them."""

import math
import os

from etils import epath

# Bytes of arrays that tensorstore compresses, together with their names.
_SMALL_ARRAYS = 2**24


def check_regular(path: epath.Path) -> None:
  """Raises ValueError if one is a pipe, socket or device.

  orbax would wait for it, or read without end.
  """
  for parent, _, names in os.walk(path):
    for name in names:
      file = os.path.join(parent, name)
      if os.path.exists(file) and not os.path.isfile(file):
        raise ValueError(f'{file} is a pipe, socket or device')


def check_size(folder: epath.Path, arrays: list) -> None:
  """Raises ValueError if arrays are declared that the files cannot hold.

  This project compresses nothing. Others may, and orbax allocates what is
  declared. `arrays` have a shape and a dtype, `folder` is that of their files.
  """
  declared = sum(math.prod(x.shape) * x.dtype.itemsize for x in arrays)
  nbytes = sum(
    (parent / name).stat().length
    for parent, _, names in folder.walk()
    for name in names
  )
  if declared > nbytes + _SMALL_ARRAYS:
    raise ValueError(
      f'it declares {declared} bytes of arrays, its files have {nbytes}'
    )

"""Images in NumPy's files, uint8 [N, H, W, 3 or 1]."""

import os
import zipfile

import numpy as np

from inception_jax.errors import UserError
from inception_jax.errors import one_line
from inception_jax.runtime import files

# guided-diffusion's samples and reference batches, which also have statistics.
_NAME = 'arr_0'


def names(path: str) -> list[str]:
  """Returns the names of the arrays in an .npz.

  Raises:
    UserError: it is none.
  """
  try:
    with (
      open(path, 'rb', opener=files.regular) as file,
      zipfile.ZipFile(file) as archive,
    ):
      return [name.removesuffix('.npy') for name in archive.namelist()]
  except Exception as error:  # a damaged archive may raise any
    raise UserError(f'{path} cannot be read: {one_line(error)}') from error


def holds_statistics(path: str) -> bool:
  """Returns whether a file is an .npz of a mean and covariance of features.

  Not if it also has the images, as guided-diffusion's reference batches.

  Raises:
    UserError: it is an .npz that cannot be read.
  """
  if not (path.endswith('.npz') and os.path.lexists(path)):
    return False
  found = names(path)
  return _NAME not in found and {'mu', 'sigma'} <= set(found)


def read(path: str) -> np.ndarray:
  """Opens images; those of an .npy stay in the file until they are used.

  Raises:
    UserError: the file cannot be read, or holds anything else.
  """
  try:
    if path.endswith('.npz'):
      images = _member(path)
    else:
      with open(path, 'rb', opener=files.regular) as file:
        np.lib.format.read_magic(file)  # else it would be taken for a pickle
      images = np.load(path, mmap_mode='r', allow_pickle=False)
  except UserError:
    raise
  except Exception as error:  # zipfile, zlib and NumPy raise various
    raise UserError(f'{path} cannot be read: {one_line(error)}') from error
  is_images = images.ndim == 4 and images.shape[-1] in (1, 3) and images.size
  if not is_images or images.dtype != np.uint8:
    hint = ''
    if images.ndim == 4 and images.shape[1] in (1, 3):
      hint = ': move the channels to the end'
    raise UserError(
      f'{path} holds {images.dtype} {list(images.shape)}, expected uint8 '
      f'[N, H, W, 3] or [N, H, W, 1]{hint}'
    )
  return images


def _member(path: str) -> np.ndarray:
  found = names(path)
  name = found[0] if len(found) == 1 else _NAME
  if name not in found:
    listed = ', '.join(sorted(found)[:8]) or 'none'
    raise UserError(
      f'{path} has neither images, {_NAME}, nor statistics, mu and sigma; its '
      f'arrays: {listed}'
    )
  with np.load(path, allow_pickle=False) as archive:
    return archive[name]

"""Files of statistics, which pytorch-fid and clean-fid read and write, too.

An .npz with 'mu' and 'sigma'. Ours also have 'count', and 'digest', which tells
features that cannot be compared.
"""

import logging
import lzma
import math
import zipfile
import zlib

import numpy as np

from inception_jax.errors import UserError
from inception_jax.fid.moments import Moments
from inception_jax.runtime import files

log = logging.getLogger(__name__)

_MOST_FEATURES = 4096
_ASYMMETRY = 1e-6  # relative to the largest entry
_TEXT = 1000  # characters


def write(path: str, moments: Moments, digest: str) -> None:
  """Writes a new file, atomically.

  Args:
    path: ends in .npz.
    moments: of the features.
    digest: of the network and of all that is done to images before it.

  Raises:
    UserError: something has been written there in the meantime.
  """
  with files.atomic_path(path) as unfinished, open(unfinished, 'wb') as file:
    np.savez_compressed(
      file,
      mu=moments.mean,
      sigma=moments.covariance,
      count=np.array(moments.count),
      digest=np.array(digest),
    )


def read(path: str, digest: str) -> Moments:
  """Reads a file of ours, of pytorch-fid or of clean-fid.

  One of theirs does not say of which network and mode it is, and is taken with
  a warning.

  Raises:
    UserError: it has another digest, or is no such file.
  """
  try:
    with (
      open(path, 'rb', opener=files.regular) as file,
      zipfile.ZipFile(file) as archive,
    ):
      moments, own = _moments(archive), _digest(archive)
  # A damaged archive may raise any of these.
  except (
    *(OSError, ValueError, KeyError, EOFError, RuntimeError, OverflowError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, MemoryError),
  ) as error:
    raise UserError(f'{path} is no file of statistics: {error}') from None
  if not own:
    log.warning(
      '%s does not say of which network and mode its statistics are: make sure '
      'that these are the same',
      path,
    )
  elif own != digest:
    raise UserError(
      f'{path} has statistics of another network or mode: {own}, not {digest}; '
      'make them again with --save_stats'
    )
  return moments


def _moments(archive: zipfile.ZipFile) -> Moments:
  names = archive.namelist()
  if missing := [x for x in ('mu', 'sigma') if f'{x}.npy' not in names]:
    raise ValueError(f'it lacks {" and ".join(missing)}')
  mean = _array(archive, 'mu', 'f', range(1, _MOST_FEATURES + 1))
  covariance = _array(archive, 'sigma', 'f', [mean.size**2])
  if mean.ndim != 1 or covariance.shape != (len(mean),) * 2:
    raise ValueError(f'shapes are {mean.shape} and {covariance.shape}')
  if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
    raise ValueError('not all numbers are finite')
  if (np.diag(covariance) < 0).any():
    raise ValueError('variances are negative')
  largest = np.abs(covariance - covariance.T).max(initial=0)
  if largest > _ASYMMETRY * np.abs(covariance).max(initial=0):
    raise ValueError('the covariance is not symmetric')
  count = 0
  if 'count.npy' in names:
    count = int(_array(archive, 'count', 'iu', [1]))
    if count < 2:
      raise ValueError(f'a count of {count}')
  return Moments(mean, (covariance + covariance.T) / 2, count)


def _digest(archive: zipfile.ZipFile) -> str:
  """Returns the digest, or '' if there is none."""
  if 'digest.npy' not in archive.namelist():
    return ''
  return str(_array(archive, 'digest', 'U', [1]))


def _array(archive, name: str, kinds: str, sizes) -> np.ndarray:
  """Reads an array of one of the sizes, which its header must say first."""
  with archive.open(f'{name}.npy') as file:
    if np.lib.format.read_magic(file) == (1, 0):
      header = np.lib.format.read_array_header_1_0(file)
    else:
      header = np.lib.format.read_array_header_2_0(file)
    shape, _, dtype = header  # in any order: they are symmetric
    if dtype.kind not in kinds or dtype.itemsize > 4 * _TEXT:
      raise ValueError(f'{name} is of {dtype}')
    if (count := math.prod(shape)) not in sizes:
      raise ValueError(f'{name} has {count} values, not {sizes[-1]}')
    content = file.read(count * dtype.itemsize)
    # At its end, the archive compares the checksum.
    if len(content) < count * dtype.itemsize or file.read(1):
      raise ValueError(f'{name} is shorter or longer than its header says')
    array = np.frombuffer(content, dtype).reshape(shape)
    return array.astype(np.float64) if dtype.kind == 'f' else array

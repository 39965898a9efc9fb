import io
import logging
import os
import zipfile

import numpy as np
import pytest

from inception_jax.errors import UserError
from inception_jax.fid import moments
from inception_jax.fid import stats_file


def _moments(dimension=6):
  random = np.random.RandomState(0)
  return moments.from_features(random.normal(size=(50, dimension)))


def _written(tmp_path, save=np.savez_compressed, **changes):
  """Returns the path of a file as the other packages write it."""
  made = _moments()
  arrays = {'mu': made.mean, 'sigma': made.covariance} | changes
  arrays = {key: x for key, x in arrays.items() if x is not None}
  path = str(tmp_path / 'other.npz')
  save(path, **arrays)
  return path


def test_what_is_written_is_read_and_others_read_it(tmp_path):
  path, made = str(tmp_path / 'new' / 'real.npz'), _moments()
  stats_file.write(path, made, 'clean-abc')
  found = stats_file.read(path, 'clean-abc')
  assert np.array_equal(found.mean, made.mean)
  assert np.array_equal(found.covariance, made.covariance)
  assert found.count == 50
  with np.load(path) as file:  # as pytorch-fid does
    mean, covariance = file['mu'][:], file['sigma'][:]
  assert np.array_equal(mean, made.mean)
  assert np.array_equal(covariance, made.covariance)
  with pytest.raises(UserError, match='made by another command'):
    stats_file.write(path, made, 'clean-abc')
  assert os.listdir(tmp_path / 'new') == ['real.npz']


def test_statistics_of_another_network_or_mode_are_refused(tmp_path):
  path = str(tmp_path / 'real.npz')
  stats_file.write(path, _moments(), 'clean-abc')
  with pytest.raises(UserError, match='another network or mode: clean-abc, no'):
    stats_file.read(path, 'legacy_pytorch-abc')


@pytest.mark.parametrize('dtype', ['f4', 'f8', '>f8'])
@pytest.mark.parametrize('order', ['C', 'F'])
def test_files_of_other_packages_are_read_with_a_warning(
  tmp_path, caplog, dtype, order
):
  made = _moments()
  path = _written(
    tmp_path,
    mu=made.mean.astype(dtype),
    sigma=np.asarray(made.covariance, dtype, order),
  )
  with caplog.at_level(logging.WARNING):
    found = stats_file.read(path, 'clean-abc')
  assert 'does not say of which network and mode' in caplog.text
  assert np.allclose(found.mean, made.mean, rtol=1e-6)
  assert np.allclose(found.covariance, made.covariance, rtol=1e-5)
  assert found.mean.dtype == found.covariance.dtype == np.float64
  assert found.count == 0


_ASYMMETRIC = np.eye(6) + np.eye(6, k=1) * 1e-3
FAULTS = {
  'lacks mu': {'mu': None},
  'lacks mu and sigma': {'mu': None, 'sigma': None, 'feats': np.ones((5, 6))},
  'shapes are': {'mu': np.ones((6, 1))},
  'sigma has 25 values, not 36': {'sigma': np.eye(5)},
  'mu is of complex128': {'mu': np.ones(6, complex)},
  'mu is of object': {'mu': np.array([print] * 6, object)},
  'mu has 0 values': {'mu': np.ones(0)},
  'mu has 5000 values, not 4096': {'mu': np.ones(5000)},
  'not all numbers are finite': {'mu': np.full(6, np.nan)},
  'variances are negative': {'sigma': -np.eye(6)},
  'not symmetric': {'sigma': _ASYMMETRIC},
  'a count of 1': {'count': np.array(1)},
  'count is of float64': {'count': np.array(50.0)},
  'digest is of int64': {'digest': np.array(5)},
}


@pytest.mark.parametrize('fault', FAULTS)
def test_other_arrays_are_refused(tmp_path, fault):
  path = _written(tmp_path, **FAULTS[fault])
  with pytest.raises(
    UserError, match=f'{path} is no file of statistics: .*{fault}'
  ):
    stats_file.read(path, '')


def _damaged(whole: bytes):
  yield from (b'', b'text', whole[:-30])
  (entry,) = (
    entry
    for entry in zipfile.ZipFile(io.BytesIO(whole)).infolist()
    if entry.filename == 'sigma.npy'
  )
  begin = entry.header_offset + 60  # after the archive's own header
  for i in range(begin, begin + entry.compress_size - 30, 29):
    yield whole[:i] + bytes([whole[i] ^ 4]) + whole[i + 1 :]


def test_damaged_files_are_refused(tmp_path):
  path = tmp_path / 'damaged.npz'
  # Uncompressed, nothing but the checksum shows it.
  with open(_written(tmp_path, np.savez), 'rb') as file:
    whole = file.read()
  for damaged in _damaged(whole):
    path.write_bytes(damaged)
    with pytest.raises(UserError, match=f'{path} is no file of statistics: .'):
      stats_file.read(str(path), '')


def test_what_is_no_file_is_refused(tmp_path):
  os.mkfifo(path := str(tmp_path / 'pipe.npz'))
  with pytest.raises(UserError, match='not a regular file'):
    stats_file.read(path, '')
  with pytest.raises(UserError, match='No such file'):
    stats_file.read(str(tmp_path / 'none.npz'), '')


def test_an_array_longer_than_its_header_says_is_refused(tmp_path):
  path = _written(tmp_path, np.savez)
  longer = str(tmp_path / 'longer.npz')
  with zipfile.ZipFile(path) as old, zipfile.ZipFile(longer, 'w') as new:
    for name in old.namelist():
      new.writestr(name, old.read(name) + b'x')
  with pytest.raises(UserError, match='mu is shorter or longer'):
    stats_file.read(longer, '')


def test_a_header_that_promises_more_than_there_is_takes_no_memory(tmp_path):
  path = str(tmp_path / 'short.npz')
  with zipfile.ZipFile(path, 'w') as archive:
    for name, shape in (('mu', (4000,)), ('sigma', (4000, 4000))):
      header = io.BytesIO()
      described = {'descr': '<f8', 'fortran_order': False, 'shape': shape}
      np.lib.format.write_array_header_1_0(header, described)
      archive.writestr(f'{name}.npy', header.getvalue())
  with pytest.raises(UserError, match='mu is shorter or longer'):
    stats_file.read(path, '')

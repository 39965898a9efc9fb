"""Small or hostile weight files neither exhaust memory nor read other files."""

import contextlib
import math
import sys
import types
import zipfile

import h5py
import numpy as np
import pytest

from inception_jax.errors import UserError
from inception_jax.weights import importer
from inception_jax.weights import readers

LARGE = 2**24  # values, 64 MB
DECLARES = r'declares \d+ bytes of arrays'
ELSEWHERE = 'is empty, compressed or in another file'


def keras_2(file):
  """Returns the group of a layer's kernel, in the layout of Keras 2."""
  return file.create_group('conv2d/conv2d'), 'kernel:0'


def keras_3(file):
  variables = file.create_group('layers/a/vars')
  variables.attrs['name'] = 'a'
  return variables, '0'


def fill_value(group, name, path):
  group.create_dataset(name, (LARGE,), 'f4', fillvalue=1)


def chunks_of_fill_value(group, name, path):
  group.create_dataset(name, (LARGE,), 'f4', chunks=(1000,), fillvalue=1)


def overflowing(group, name, path):
  group.create_dataset(name, (2**32, 2**32), 'f4', chunks=(1, 1), fillvalue=1)


def compressed(group, name, path):
  zeros = np.zeros(LARGE // 16, np.float32)
  group.create_dataset(name, data=zeros, compression='gzip')


def external_storage(group, name, path):
  secret = path / 'secret'
  secret.write_bytes(bytes(400))
  where = [(str(secret), 0, 400)]
  group.create_dataset(name, (100,), 'f4', external=where)


def virtual(group, name, path):
  layout = h5py.VirtualLayout((100,), 'f4')
  layout[:] = h5py.VirtualSource(str(path / 'other.h5'), 'x', (100,))
  group.create_virtual_dataset(name, layout)


def external_link(group, name, path):
  group[name] = h5py.ExternalLink(str(path / 'other.h5'), 'x')


def soft_link(group, name, path):
  group[name] = h5py.SoftLink('/elsewhere')


@pytest.mark.parametrize('layout', [keras_2, keras_3])
@pytest.mark.parametrize(
  ('write', 'reason'),
  [
    (fill_value, ELSEWHERE),
    (chunks_of_fill_value, ELSEWHERE),
    (overflowing, ELSEWHERE),
    (compressed, ELSEWHERE),
    (external_storage, ELSEWHERE),
    (virtual, ELSEWHERE),
    (external_link, 'is a link'),
    (soft_link, 'is a link'),
  ],
)
@pytest.mark.parametrize('ending', ['h5', 'keras'])
def test_hdf5_has_its_values_itself(tmp_path, layout, write, reason, ending):
  with h5py.File(tmp_path / 'other.h5', 'w') as file:
    file['x'] = np.zeros(100, np.float32)
  with h5py.File(tmp_path / 'x.h5', 'w') as file:
    write(*layout(file), tmp_path)
  assert (tmp_path / 'x.h5').stat().st_size < 2**16
  if ending == 'keras':
    with zipfile.ZipFile(tmp_path / 'x.keras', 'w') as archive:
      archive.write(tmp_path / 'x.h5', 'model.weights.h5')
  with pytest.raises(UserError, match=reason):
    importer.load(str(tmp_path / f'x.{ending}'))


def test_code_of_a_keras_archive_is_not_read(tmp_path):
  with h5py.File(tmp_path / 'x.h5', 'w') as file:
    variables, name = keras_3(file)
    variables[name] = np.ones(10, np.float32)
  path = tmp_path / 'x.keras'
  with zipfile.ZipFile(path, 'w', zipfile.ZIP_LZMA) as archive:
    archive.writestr('config.json', '{"class_name": "Lambda", "config": [')
    archive.write(
      tmp_path / 'x.h5', 'model.weights.h5', compress_type=zipfile.ZIP_STORED
    )
  tensors, _ = readers.read(str(path))
  np.testing.assert_array_equal(tensors['a/kernel'], np.ones(10, np.float32))


def test_hdf5_counts_values_as_often_as_they_are_read(tmp_path):
  with h5py.File(tmp_path / 'x.h5', 'w') as file:
    file['x'] = np.zeros(10_000, np.float32)
    for i in range(20):
      variables = file.create_group(f'layers/{i}/vars')
      variables.attrs['name'] = f'{i}'
      variables['0'] = file['x']  # a hard link
  with pytest.raises(UserError, match=DECLARES):
    importer.load(str(tmp_path / 'x.h5'))


def test_hdf5_layers_have_one_name(tmp_path):
  with h5py.File(tmp_path / 'x.h5', 'w') as file:
    variables, name = keras_3(file)
    variables[name] = np.zeros(10, np.float32)
    variables.attrs['name'] = ['a'] * 5
  with pytest.raises(UserError, match='a layer has several names'):
    importer.load(str(tmp_path / 'x.h5'))


@pytest.mark.parametrize(
  ('name', 'member'),
  [('x.keras', 'model.weights.h5'), ('x.pth', 'archive/data/0')],
)
@pytest.mark.parametrize(
  'kind', [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_zips_are_not_unpacked(tmp_path, name, member, kind):
  with zipfile.ZipFile(tmp_path / name, 'w', kind) as archive:
    archive.writestr(member, bytes(2**20))
  with pytest.raises(UserError, match=f'{member} is compressed'):
    importer.load(str(tmp_path / name))


def test_zip_members_do_not_overlap(tmp_path):
  path = tmp_path / 'x.pth'
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr('archive/data/0', bytes(2000))
    archive.filelist *= 20  # the directory has 20 entries for one member
  with pytest.raises(UserError, match=DECLARES):
    importer.load(str(path))


def test_pth_does_not_call_for_zeros(tmp_path):
  path = tmp_path / 'x.pth'
  path.write_bytes(b'\x80\x02c__builtin__\nbytearray\nJ\0\0\0\x7f\x85R.')
  with pytest.raises(UserError, match='has a bytearray'):
    importer.load(str(path))


class Tensor:
  """What the reader uses of torch's tensors."""

  def __init__(self, shape):
    self.shape = shape

  def numel(self):
    return math.prod(self.shape)

  def element_size(self):
    return 4

  def float(self):
    raise AssertionError('its values are read')


@pytest.mark.parametrize('shape', [(LARGE,), (2**40, 2**40)])
def test_pth_has_its_values_itself(tmp_path, monkeypatch, shape):
  torch = types.ModuleType('torch')
  torch.__version__, torch.Tensor = '2.14.1+cpu', Tensor
  torch.load = lambda path, **options: {'a': Tensor((2,)), 'b': Tensor(shape)}
  torch.serialization = types.SimpleNamespace(
    safe_globals=lambda safe: contextlib.nullcontext()
  )
  monkeypatch.setitem(sys.modules, 'torch', torch)
  path = tmp_path / 'x.pth'
  path.write_bytes(bytes(1000))
  with pytest.raises(UserError, match=DECLARES):
    importer.load(str(path))


def test_tensorflow_checkpoint_has_its_values_itself(tmp_path):
  import tensorflow as tf

  path = str(tmp_path / 'x.ckpt')
  names = ['a', 'step', 'text']
  values = [tf.zeros(1000), tf.constant(5, tf.int64), tf.constant('x')]
  tf.raw_ops.SaveV2(
    prefix=path, tensor_names=names, shape_and_slices=[''] * 3, tensors=values
  )
  tensors, _ = readers.read(path)
  assert sorted(tensors) == ['a', 'step']
  (data,) = tmp_path.glob('*.data-*')
  data.write_bytes(bytes(100))
  with pytest.raises(UserError, match=DECLARES):
    importer.load(path)


@pytest.mark.parametrize('name', ['x.safetensors', 'x.ckpt', 'x.h5', 'x.pth'])
def test_sparse_files_are_not_read(tmp_path, name):
  path = tmp_path / name
  with open(path, 'wb') as file:
    file.truncate(2**31 + 1)
  with pytest.raises(UserError, match=DECLARES):
    importer.load(str(path))

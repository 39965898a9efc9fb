"""Images of every kind of source, and what is wrong with others."""

import pathlib
import shutil
import tarfile

import numpy as np
from PIL import Image
import pytest

from inception_jax.config import defaults
from inception_jax.data import decode
from inception_jax.data.remote import mounts
from inception_jax.errors import UserError
from inception_jax.fid import arrays
from inception_jax.fid import sources
from inception_jax.models import card as card_lib
from tests.support import uploads


def config(data_dir=''):
  result = defaults.get_config()
  result.data.dir = str(data_dir)
  return result


def images(word, data_dir=''):
  word = str(word)
  assert sources.cannot_open(word, config(data_dir)) == []
  split = sources.load(word, config(data_dir))
  data = card_lib.to_config(card_lib.Card())
  return [
    decode.whole_image(split.fetch(np.int64(i))['image'], data).numpy()
    for i in range(split.size)
  ], [split.name(i) for i in range(split.size)]


@pytest.fixture(scope='module')
def pixels(photos):
  paths = sorted(photos.iterdir())
  return np.stack([np.asarray(Image.open(path)) for path in paths])


def written(kind, photos, pixels, folder):
  """Writes the images of a folder as another kind of source."""
  path = folder / f'images.{kind}'
  names = sorted(path.name for path in photos.iterdir())
  if kind == 'zip':
    shutil.make_archive(str(folder / 'images'), 'zip', photos)
  elif kind == 'tar':
    with tarfile.open(path, 'w') as file:
      for name in names:
        file.add(photos / name, name)
      file.add(__file__, 'readme.py')
  elif kind == 'txt':
    shutil.copytree(photos, folder / 'my photos')
    labels = ['', ' 3'] * len(names)
    lines = [f'my photos/{x}{y}' for x, y in zip(names, labels, strict=False)]
    path.write_text('\n'.join([*lines, '', '']))
  elif kind == 'npy':
    np.save(path, pixels)
  else:
    np.savez(path, arr_0=pixels, arr_1=np.zeros(3), mu=1, sigma=1)
  return path


@pytest.mark.parametrize('kind', ['zip', 'tar', 'txt', 'npy', 'npz'])
def test_every_source_has_the_same_images(kind, photos, pixels, tmp_path):
  path = written(kind, photos, pixels, tmp_path)
  found, names = images(path)
  np.testing.assert_array_equal(np.stack(found), pixels)
  assert len(set(names)) == 21 and all(str(tmp_path) in name for name in names)
  # The real files.
  np.testing.assert_array_equal(np.stack(images(photos)[0]), pixels)


def test_a_split_of_a_source():
  found, _ = images('digits:test')
  assert len(found) == 360 and found[0].shape == (8, 8, 3)


def test_grey_arrays(pixels, tmp_path):
  np.save(tmp_path / 'x.npy', pixels[..., :1])
  found, _ = images(tmp_path / 'x.npy')
  np.testing.assert_array_equal(found, np.repeat(pixels[..., :1], 3, -1))


@pytest.mark.parametrize(
  'word, fault',
  [
    ('digits:tst', "digits:tst: split 'tst': expected one of train, test"),
    ('tfds:none:test', '--data_dir='),
    ('nodigits:test', "nodigits:test: source 'nodigits': expected one of"),
    ('none', 'none: no such file or folder'),
    ('gs://b/photos', 'gs://b/photos is in a bucket: name a SOURCE:SPLIT'),
    ('x.tar.gz', 'x.tar.gz is compressed: unpack it'),
    ('x.heic', 'x.heic: expected a folder, a .zip'),
  ],
)
def test_what_cannot_be_opened(word, fault, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  for name in ('x.tar.gz', 'x.heic'):
    pathlib.Path(name).write_bytes(b'')
  (line,) = sources.cannot_open(word, config(tmp_path))
  assert fault in line


@pytest.mark.parametrize(
  'name, content, fault',
  [
    ('x.npy', b'junk', 'x.npy cannot be read'),
    ('x.npz', b'junk', 'x.npz cannot be read: File is not a zip file'),
    ('x.tar', b'junk', 'x.tar cannot be read'),
    ('x.txt', b'none.png\n../no.png 3', ['missing file none.png', 'no.png 3']),
    ('x.txt', b'\n', 'x.txt lists no images'),
  ],
)
def test_damaged_sources(name, content, fault, tmp_path):
  path = tmp_path / name
  path.write_bytes(content)
  with pytest.raises(UserError) as error:
    sources.load(str(path), config())
  faults = [fault] if isinstance(fault, str) else fault
  for found, expected in zip(error.value.faults, faults, strict=True):
    assert expected in found


@pytest.mark.parametrize(
  'array, fault',
  [
    (np.zeros((2, 4, 4, 3), np.float32), 'holds float32 [2, 4, 4, 3]'),
    (np.zeros((2, 3, 4, 4), np.uint8), 'move the channels to the end'),
    (np.zeros((4, 4, 3), np.uint8), 'holds uint8 [4, 4, 3], expected uint8'),
    (np.zeros((0, 4, 4, 3), np.uint8), 'holds uint8 [0, 4, 4, 3]'),
    (np.array([{}], object), 'cannot be read'),
  ],
)
def test_other_arrays_are_refused(array, fault, tmp_path):
  np.save(tmp_path / 'x.npy', array)
  np.savez(tmp_path / 'x.npz', anything=array)
  for name in ('x.npy', 'x.npz'):
    with pytest.raises(UserError) as error:
      arrays.read(str(tmp_path / name))
    assert fault in str(error.value)


def test_truncated_arrays(pixels, tmp_path):
  np.save(tmp_path / 'x.npy', pixels)
  np.savez(tmp_path / 'x.npz', pixels)
  for name in ('x.npy', 'x.npz'):
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(UserError, match='cannot be read'):
      arrays.read(str(path))


def test_which_files_are_statistics(pixels, tmp_path):
  names = ('x.npz', 'images.npz', 'both.npz', 'x.npy')
  x, of_images, both, other = (str(tmp_path / name) for name in names)
  np.savez(x, mu=np.zeros(3), sigma=np.eye(3))
  np.savez(of_images, pixels)
  np.savez(both, arr_0=pixels, mu=np.zeros(3), sigma=np.eye(3))
  found = map(arrays.holds_statistics, (x, of_images, both, other))
  assert list(found) == [True, False, False, False]
  np.savez(x, a=1, b=2)
  with pytest.raises(UserError, match='its arrays: a, b'):
    arrays.read(x)


def test_an_empty_folder(tmp_path):
  (tmp_path / 'notes.md').write_text('none')
  with pytest.raises(UserError, match=r'has no images: \.jpg'):
    sources.load(str(tmp_path), config())


def test_a_split_in_a_bucket(photos, pixels, google, tmp_path, monkeypatch):
  monkeypatch.setenv('INCEPTION_JAX_BUCKETS', str(tmp_path / 'cache'))
  shutil.copytree(photos, tmp_path / 'data' / 'val' / 'cat')
  uploads.upload(tmp_path / 'data', 'gs://bucket/fid')
  found, names = images('folder:val', 'gs://bucket/fid')
  np.testing.assert_array_equal(np.stack(found), pixels)
  assert names[0] == 'gs://bucket/fid/val/cat/a.png'
  mounts.forget()

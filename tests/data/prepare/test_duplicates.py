"""Equal images, and those that look alike."""

import io

import numpy as np
from PIL import Image
import pytest

from inception_jax.data.prepare import duplicates
from inception_jax.data.sources import folder
from inception_jax.errors import UserError


@pytest.fixture
def photos(tmp_path):
  """Six images: one, its copy in another class, it smaller, and others."""
  y, x = np.mgrid[:200, :300]
  wave = lambda f: np.uint8(127 + 120 * np.sin(x / f) * np.cos(y / (2 * f)))
  image = Image.fromarray(wave(40))
  (tmp_path / 'damaged.jpg').write_bytes(b'?')
  image.save(tmp_path / 'a.jpg')
  (tmp_path / 'b.jpg').write_bytes((tmp_path / 'a.jpg').read_bytes())
  image.resize((120, 80)).save(tmp_path / 'small.jpg', quality=60)
  image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / 'flip.png')
  Image.fromarray(wave(23)).save(tmp_path / 'other.jpg')
  names = [
    'a.jpg',
    'b.jpg',
    'small.jpg',
    'flip.png',
    'other.jpg',
    'damaged.jpg',
  ]
  return [str(tmp_path / name) for name in names]


def splits_of(paths):
  split = lambda part, labels: folder.of_files(part, labels, ['cat', 'dog'])
  return {
    'train': split(paths[:2], [0, 1]),
    'val': split(paths[2:], [0] * len(paths[2:])),
  }


def test_equal_files_are_found_across_classes(photos):
  assert duplicates.find(splits_of(photos)) == {
    'groups': 1,
    'across_splits': 0,
    'across_classes': 1,
    'paths': [photos[:2]],
  }


def test_images_that_look_alike_are_found_across_splits(photos, monkeypatch):
  found = duplicates.find(splits_of(photos), bits=4)
  assert found == {
    'groups': 1,
    'across_splits': 1,
    'across_classes': 1,
    'paths': [photos[:3]],
  }
  monkeypatch.setattr(duplicates, '_BLOCK', 2)
  assert duplicates.find(splits_of(photos), bits=4) == found
  monkeypatch.setattr(duplicates, 'MOST_COMPARED', 5)
  with pytest.raises(UserError, match='at most 5 images, here are 6'):
    duplicates.find(splits_of(photos), bits=4)


def test_hash_is_that_of_imagehash():
  # imagehash.dhash(Image.fromarray(grey)) of ImageHash 4.3.2.
  grey = np.random.default_rng(0).integers(0, 256, (8, 9), np.uint8)
  file = io.BytesIO()
  Image.fromarray(grey).save(file, 'PNG')
  value = duplicates.difference_hash(file.getvalue())
  assert f'{value:016x}' == 'eaa756aea6d9a9ab'

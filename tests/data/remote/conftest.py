"""Fixtures of the tests of data in buckets."""

import pytest

from inception_jax.data import reading
from inception_jax.data.remote import mounts


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
  """An empty local cache; and little is read ahead of small datasets."""
  monkeypatch.setattr(reading, '_TOGETHER', 3)
  monkeypatch.setattr(reading, '_CALLS', 2)
  monkeypatch.setenv('INCEPTION_JAX_BUCKETS', str(tmp_path / 'cache'))
  yield tmp_path / 'cache' / '.data'
  mounts.forget()


@pytest.fixture
def folder(tmp_path):
  """Ten images of two classes, in class folders of two splits."""
  from tests.support import image_folders

  for i in range(10):
    for split in ('train', 'validation'):
      path = tmp_path / 'folder' / split / 'ab'[i % 2] / f'{i}.png'
      image_folders.write_image(path, 20 * i)
  return tmp_path / 'folder'

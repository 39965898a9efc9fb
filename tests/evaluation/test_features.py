"""Features of splits, their files, and what they are measured by."""

import json

import jax
import numpy as np
from pyarrow import parquet
import pytest

import inception_jax
from inception_jax.data import image_files
from inception_jax.data import pipeline
from inception_jax.data.augment import transforms
from inception_jax.data.sources import registry
from inception_jax.errors import UserError
from inception_jax.evaluation import features
from inception_jax.evaluation import probes
from tests.support.pictures import CLASSES
from tests.support.pictures import config_of
from tests.support.pictures import network


@pytest.fixture(scope='module')
def pictured(pictures):
  """A config, its split, its network and variables."""
  config = config_of(pictures)
  split = registry.load(config, 'val')
  return config, split, *network(config, 0)


def by_hand(pictured, end_point, mirrored=False):
  """Features of every image by the library's function: [23, …]."""
  config, split, model, variables = pictured
  images = pipeline.eval_images(split, config.data, range(split.size))
  images = np.stack([images[i] for i in range(split.size)])
  images = images[:, :, ::-1] if mirrored else images
  inputs = transforms.normalize(images, config.data)
  forward = jax.jit(inception_jax.features, static_argnums=0)
  return np.asarray(forward(model, variables, inputs)[end_point])


@pytest.mark.slow
@pytest.mark.parametrize('batch_size, devices', [(7, 1), (8, 8), (100, 8)])
def test_every_image_has_its_pooled_features(
  pictured, one_device, eight_devices, batch_size, devices
):
  config, split, model, variables = pictured
  config = config.copy_and_resolve_references()
  config.batch_size = batch_size
  mesh = one_device if devices == 1 else eight_devices
  found = features.extract(config, model, variables, split, mesh)
  expected = by_hand(pictured, 'pooled')
  assert found.values.dtype == np.float32
  np.testing.assert_allclose(found.values, expected, rtol=1e-5, atol=1e-6)
  assert found.names == [split.name(i) for i in range(23)]
  assert np.bincount(found.labels).tolist() == [4, 4, 4, 4, 4, 3]


def test_stages_and_views_are_averaged(pictured, one_device):
  config, split, model, variables = pictured
  config = config.copy_and_resolve_references()
  config.data.eval_protocol = 'mirror'
  found = features.extract(
    config, model, variables, split, one_device, 'conv_1a'
  )
  views = [by_hand(pictured, 'conv_1a', mirrored) for mirrored in (False, True)]
  expected = np.mean(views, axis=(0, 2, 3))
  np.testing.assert_allclose(found.values, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_bad_images_have_no_row(pictured, pictures, tmp_path, one_device):
  config, _, model, variables = pictured
  for i in range(5):
    (tmp_path / f'{i}.png').write_bytes(
      (pictures / 'val' / 'cat' / '00.png').read_bytes() if i % 2 else b'junk'
    )
  split, is_labelled = image_files.open_split([str(tmp_path)])
  assert not is_labelled
  config = config.copy_and_resolve_references()
  config.data.max_bad_fraction = 1.0
  found = features.extract(config, model, variables, split, one_device)
  assert found.names == [f'{tmp_path}/{i}.png' for i in (1, 3)]
  assert list(found.failed) == [f'{tmp_path}/{i}.png' for i in (0, 2, 4)]
  expected = by_hand(pictured, 'pooled')[[0, 0]]
  np.testing.assert_allclose(found.values, expected, rtol=1e-5, atol=1e-6)
  config.data.max_bad_fraction = 0.5
  with pytest.raises(UserError, match='3 of 5 images cannot be decoded'):
    features.extract(config, model, variables, split, one_device)


def made_up(rows=12, seed=0):
  """Features of three classes, two of which overlap."""
  rng = np.random.default_rng(seed)
  labels = np.arange(rows, dtype=np.int32) % 3
  values = rng.normal(size=(rows, 4)) + 3 * np.eye(3, 4)[labels // 2]
  names = [f'{i}.png' for i in range(rows)]
  return features.Features(values.astype(np.float32), labels, names, {})


def test_both_files_hold_the_same(tmp_path):
  rows, classes = made_up(), ('a', '狗', 'c')
  for ending in ('npz', 'parquet'):
    path = str(tmp_path / f'x.{ending}')
    features.write(path, rows, classes, {'end_point': 'pooled'})
  with np.load(tmp_path / 'x.npz') as arrays:  # without pickles
    np.testing.assert_array_equal(arrays['features'], rows.values)
    assert arrays['names'].tolist() == rows.names
    np.testing.assert_array_equal(arrays['labels'], rows.labels)
    assert arrays['class_names'].tolist() == list(classes)
    assert json.loads(str(arrays['metadata'])) == {'end_point': 'pooled'}
  table = parquet.read_table(tmp_path / 'x.parquet')
  values = np.array(table['features'].to_pylist(), np.float32)
  np.testing.assert_array_equal(values, rows.values)
  assert table['name'].to_pylist() == rows.names
  assert table['label'].to_pylist() == rows.labels.tolist()
  assert table['class'].to_pylist() == [classes[i] for i in rows.labels]
  assert json.loads(table.schema.metadata[features.METADATA.encode()]) == {
    'end_point': 'pooled'
  }
  features.write(str(tmp_path / 'y.npz'), rows, (), {})
  with np.load(tmp_path / 'y.npz') as arrays:
    assert set(arrays) == {'features', 'names', 'metadata'}
  assert {path.name for path in tmp_path.iterdir()} == {
    *('x.npz', 'x.parquet', 'y.npz')
  }


def majority(k, known, values, labels, leave_out):
  """The accuracy, by a loop over the images."""
  unit = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)
  similarity = unit(values) @ unit(known.values).T
  if leave_out:
    np.fill_diagonal(similarity, -np.inf)
  nearest = known.labels[np.argsort(-similarity, axis=1)[:, :k]]
  guesses = [np.bincount(row).argmax() for row in nearest]
  return np.mean(guesses == labels)


def test_neighbours_are_the_most_similar_others():
  known, other = made_up(30), made_up(12, seed=1)
  for k in (1, 3, 5):
    expected = majority(k, known, known.values, known.labels, True)
    assert probes.nearest_neighbours(k, known) == expected < 1
    expected = majority(k, known, other.values, other.labels, False)
    assert probes.nearest_neighbours(k, known, other) == expected < 1
  with pytest.raises(UserError, match='an image has 29 neighbours'):
    probes.nearest_neighbours(30, known)


def test_linear_probe_is_fitted_on_other_images():
  rng = np.random.default_rng(0)
  known = made_up(30)
  # Noise of more dimensions than images: a fit of the same images is perfect.
  noise = known._replace(values=rng.normal(size=(30, 60)).astype(np.float32))
  assert probes.linear_probe(noise, noise) == 1
  assert probes.linear_probe(noise) < 0.7
  apart = known._replace(values=np.eye(3, 4, dtype=np.float32)[known.labels])
  assert probes.linear_probe(apart) == 1
  one = known._replace(labels=np.arange(30))
  with pytest.raises(UserError, match='two images of each class'):
    probes.linear_probe(one)


def test_a_class_is_the_folder_below_the_path(pictures, tmp_path):
  split, is_labelled = image_files.open_split([str(pictures / 'val')])
  assert is_labelled and split.class_names == CLASSES
  path = tmp_path / 'dog' / 'deeper' / 'x.png'
  path.parent.mkdir(parents=True)
  path.write_bytes(b'')
  split, _ = image_files.open_split([str(tmp_path)], CLASSES)
  assert split.fetch(0)['label'] == CLASSES.index('dog')
  with pytest.raises(UserError, match='no other image is of class dog'):
    image_files.open_split([str(tmp_path)], ('cat',))

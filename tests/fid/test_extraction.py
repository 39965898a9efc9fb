"""Features of every image: once, in order, the same on any devices."""

import numpy as np
from PIL import Image
import pytest

from inception_jax.config import defaults
from inception_jax.data import splits
from inception_jax.errors import UserError
from inception_jax.evaluation import features as features_lib
from inception_jax.fid import extraction
from inception_jax.fid import modes
from inception_jax.fid import networks
from inception_jax.fid import sources
from inception_jax.models import factory
from tests.support import tfds_sets

NAMES = networks.POOLED, networks.LOGITS


def opened(path):
  return sources.load(str(path), defaults.get_config())


def extract(network, split, mesh, batch_size=8):
  rows = {name: [] for name in NAMES}
  sinks = {name: own.append for name, own in rows.items()}
  extractor = extraction.Extraction(network, NAMES, mesh, batch_size)
  found = extractor.run(split, sinks, 'photos')
  return found, {name: np.concatenate(own) for name, own in rows.items()}


@pytest.mark.parametrize('mode', modes.MODES)
def test_features_are_those_of_the_pixels(weights, photos, one_device, mode):
  network = networks.of_mode(weights, mode)
  split = opened(photos)
  found, rows = extract(network, split, one_device)
  assert found.count == 21 and found.failed == {}
  assert found.sizes.tolist() == [[16, 20]]
  model = factory.build(network.config, 1008)
  record = split.fetch(np.int64(20))['image']
  pixels = modes.prepare(mode, record, network.config.data)['image'].numpy()
  seen = model.apply(weights.variables, pixels[None], mutable=True)[0][0][0]
  head = weights.variables['params']['head']['dense']
  np.testing.assert_allclose(
    rows['logits'][20], seen - head['bias'], rtol=1e-4, atol=1e-4
  )
  pooled = rows['pooled'].astype(np.float64)
  np.testing.assert_allclose(
    rows['logits'], pooled @ head['kernel'], rtol=1e-4, atol=1e-4
  )


@pytest.mark.slow
def test_devices_and_batches_make_no_difference(
  weights, photos, one_device, eight_devices
):
  network = networks.of_mode(weights, 'clean')
  _, one = extract(network, opened(photos), one_device)
  for batch_size in (8, 2):
    found, eight = extract(network, opened(photos), eight_devices, batch_size)
    assert found.count == 21
    for name in NAMES:
      np.testing.assert_array_equal(one[name], eight[name])


@pytest.mark.slow
def test_other_networks_have_their_own_preprocessing(
  weights, photos, one_device
):
  network = networks.of_own(weights)
  found, rows = extract(network, opened(photos), one_device)
  assert found.sizes.shape == (0, 2)
  config = network.config
  model = factory.build(config, 1008)
  for name in NAMES:
    expected = features_lib.extract(
      config, model, weights.variables, opened(photos), one_device, name
    )
    np.testing.assert_allclose(rows[name], expected.values, rtol=1e-5)


@pytest.mark.slow
def test_bad_images_have_no_row_and_a_name(
  weights, photos, one_device, tmp_path
):
  for path in photos.iterdir():
    (tmp_path / path.name).write_bytes(path.read_bytes())
  (tmp_path / 'c.png').write_bytes(b'junk')
  Image.new('L', (9, 7)).save(tmp_path / 'd.png')
  network = networks.of_mode(weights, 'legacy_pytorch')
  _, whole = extract(network, opened(photos), one_device)
  found, rows = extract(network, opened(tmp_path), one_device)
  assert found.count == 20 and found.sizes.tolist() == [[7, 9], [16, 20]]
  assert list(found.failed) == [f'{tmp_path}/c.png']
  kept = [i for i in range(21) if i not in (2, 3)]
  for name in NAMES:
    others = np.delete(rows[name], 2, 0)
    np.testing.assert_array_equal(others, whole[name][kept])


@pytest.mark.slow
def test_the_first_images_alone(weights, photos, one_device):
  network = networks.of_mode(weights, 'clean')
  _, whole = extract(network, opened(photos), one_device)
  split = splits.first(opened(photos), 5)
  found, rows = extract(network, split, one_device)
  assert found.count == 5
  np.testing.assert_array_equal(rows['pooled'], whole['pooled'][:5])


@pytest.mark.slow
@pytest.mark.parametrize('file_format', ['tfrecord', 'array_record'])
def test_a_dataset_without_labels(weights, one_device, tmp_path, file_format):
  tfds_sets.write(tmp_path, file_format, unlabelled=['test'])
  config = defaults.get_config()
  config.data.dir = str(tmp_path)
  network = networks.of_mode(weights, 'legacy_tensorflow')
  word = 'tfds:shapes:test[2:]'
  assert sources.cannot_open(word, config) == []
  split = splits.first(sources.load(word, config), 4)
  found, rows = extract(network, split, one_device, 3)
  assert found.count == 4 and found.sizes.tolist() == [[12, 10]]
  images = np.stack([tfds_sets.image_of('test', i, 3) for i in range(7)])
  np.save(tmp_path / 'x.npy', images)
  _, whole = extract(network, opened(tmp_path / 'x.npy'), one_device, 3)
  # The order of a dataset's files is its own.
  distances = np.abs(rows['pooled'][:, None] - whole['pooled']).max(-1)
  assert (distances.min(1) == 0).all() and len(set(distances.argmin(1))) == 4


def test_no_image_can_be_decoded(weights, one_device, tmp_path):
  (tmp_path / 'c.png').write_bytes(b'junk')
  network = networks.of_mode(weights, 'clean')
  with pytest.raises(UserError, match=r'c\.png'):
    extract(network, opened(tmp_path), one_device)

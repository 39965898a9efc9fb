"""Every format computes the network's logits and holds its metadata."""

import math
import shutil

import jax
import numpy as np
import pytest

from configs import inception_v3
from inception_jax.errors import RunError
from inception_jax.errors import UserError
from inception_jax.export import artifact as artifact_lib
from inception_jax.export import comparison
from inception_jax.export import formats
from inception_jax.export.format import Options
from inception_jax.models import factory
from tests.support.pictures import CLASSES
from tests.support.pictures import random_weights


def test_logits_and_metadata_equal_the_networks(weights, artifact, format_name):
  differences = comparison.compare(weights, artifact.run)
  if format_name == 'litert_int8':
    assert 1e-4 < differences['relative_diff'] < 0.05
    assert differences['top5_agreement'] >= 0.75
  else:
    assert differences['relative_diff'] < 1e-5
    assert differences['top5_agreement'] == 1.0
  assert artifact.classes == CLASSES
  assert artifact.card == weights.card
  assert artifact.network == weights.network


def test_batch_size_does_not_change_logits(artifact):
  images = np.random.default_rng(0).normal(size=(7, 16, 16, 3))
  images = images.astype(np.float32)
  batch = artifact.classify(images)
  assert batch.shape == (7, 6)
  one_by_one = [artifact.classify(images[i : i + 1])[0] for i in range(7)]
  np.testing.assert_allclose(batch, one_by_one, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_full_size_network_in_every_format(tmp_path):
  config = factory.resolve(inception_v3.get_config())
  weights = random_weights(config, 1000)
  images = comparison.sample_images(299, 3)[3:5]  # noise, and a photograph
  params = weights.variables['params']
  exported = {name: value for name, value in params.items() if name != 'aux'}
  nbytes = sum(x.nbytes for x in jax.tree.leaves(exported))
  assert nbytes == 4 * 23_834_568
  for name in formats.LOADED:
    file_format = formats.FORMATS[name]
    path = str(tmp_path / f'v3{file_format.ending}')
    file_format.save(weights, path, 0, Options(images))
    artifact = formats.load(path)
    assert artifact.card == weights.card
    differences = comparison.compare(weights, artifact.run, images)
    size = artifact_lib.size_of(path) / nbytes
    if name == 'litert_int8':
      assert 1e-4 < differences['relative_diff'] < 0.05
      assert size < 0.27
    else:
      assert differences['relative_diff'] < 1e-5
      assert differences['top5_agreement'] == 1.0
      assert size < 1.02


def test_comparison_notices_another_network(weights, artifact, format_name):
  file_format = formats.FORMATS[format_name]
  differences = file_format.compare(
    weights,
    lambda x: {'logits': (1 + 2 * file_format.bound) * artifact.classify(x)},
  )
  assert differences[file_format.bounded] > file_format.bound


@pytest.mark.slow
def test_calibration_images_are_compared_too(weights, tmp_path):
  file_format = formats.FORMATS['litert_int8']
  images = np.repeat(comparison.sample_images(16, 3), 3, axis=0)
  path = str(tmp_path / 'x.tflite')
  options = Options(images)
  run = file_format.save(weights, path, 5, options)
  batches = []

  def recorded(images):
    batches.append(images)
    return run(images)

  differences = file_format.compare(weights, recorded, options)
  assert 1e-4 < differences['relative_diff'] < 0.05
  np.testing.assert_array_equal(
    *batches, comparison.normalize(weights.card, images[::3])
  )


def test_missing_and_other_files_are_refused(tmp_path):
  with pytest.raises(UserError, match='no such artifact'):
    formats.load(str(tmp_path / 'none.onnx'))
  (tmp_path / 'x.txt').write_text('x')
  with pytest.raises(UserError) as error:
    formats.load(str(tmp_path / 'x.txt'))
  assert str(error.value) == (
    f'{tmp_path}/x.txt: expected *.onnx, *.stablehlo, *.tflite or the folder '
    'of a SavedModel'
  )


def test_damaged_files_are_refused(exported, tmp_path):
  if exported.endswith('network'):
    copy = tmp_path / 'copy'
    shutil.copytree(exported, copy)
    graph = copy / 'saved_model.pb'
    graph.write_bytes(graph.read_bytes()[:1000])
  else:
    ending = exported.rpartition('.')[2]
    copy = tmp_path / f'copy.{ending}'
    with open(exported, 'rb') as file:
      copy.write_bytes(file.read()[:-1000])
  with pytest.raises(UserError, match=r'cannot be read|its digest differs'):
    formats.load(str(copy))
  with pytest.raises(UserError, match='cannot be read'):
    formats.load(str(copy), trust=True)


def test_changed_files_are_refused(exported, tmp_path):
  copy = tmp_path / exported.rpartition('/')[2]
  if copy.suffix:
    shutil.copy(exported, copy)
    changed = copy
  else:
    shutil.copytree(exported, copy)
    (changed,) = copy.glob('variables/*.data-*')
    # TensorFlow Serving reads requests there, and the graph nothing.
    (copy / 'assets.extra' / 'tf_serving_warmup_requests').write_text('x')
  formats.load(str(copy))
  content = bytearray(changed.read_bytes())
  content[len(content) // 2] ^= 1  # of a weight
  changed.write_bytes(content)
  with pytest.raises(UserError, match=r'digest differs|Bad CRC-32'):
    formats.load(str(copy))


@pytest.mark.parametrize(
  ('name', 'reason'),
  [
    ('x.mindir', 'a MINDIR is run by mindspore'),
    ('x.ckpt', 'a weight file'),
    ('x.safetensors', 'a weight file'),
  ],
)
def test_formats_not_run_here_are_refused(tmp_path, name, reason):
  path = tmp_path / name
  with pytest.raises(UserError, match='no such artifact'):
    formats.load(str(path))
  path.write_text('a network')
  with pytest.raises(UserError, match=reason):
    formats.load(str(path))


@pytest.mark.parametrize(
  ('name', 'key', 'accepted', 'refused'),
  [
    ('onnx', 'relative_diff', 1e-3, 1.1e-3),
    ('mindir', 'relative_diff', 1e-3, 1.1e-3),
    ('litert_int8', 'relative_diff', 0.1, 0.11),
    ('litert_int8', 'relative_diff', 0.1, math.nan),
    ('timm', 'max_abs_diff', 0.0, 1e-9),
    ('mindcv', 'max_abs_diff', 0.0, math.inf),
  ],
)
def test_too_large_differences_are_errors(name, key, accepted, refused):
  formats.check_bound(name, {key: accepted})
  with pytest.raises(RunError, match=f'--format={name} differs too much'):
    formats.check_bound(name, {key: refused})

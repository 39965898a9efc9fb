import dataclasses
import io
import re

import numpy as np
from PIL import Image
import pytest

from inception_jax.data import decode
from inception_jax.export import formats
from inception_jax.models import card
from tests.support import hostile_images

EXIF = Image.Exif()
EXIF[0x0112] = 6  # orientation: rotate by 90°


@pytest.fixture(scope='module')
def saved_model(weights, tmp_path_factory):
  path = str(tmp_path_factory.mktemp('saved_model') / 'network')
  formats.FORMATS['savedmodel'].save(weights, path, 5)
  return path


@pytest.fixture(
  scope='module',
  params=[
    {},
    {
      'crop_mode': 'mindspore_short_side',
      'interpolation': 'opencv_bilinear',
      'background': '#102030',
    },
    {'crop_mode': 'tf_central', 'interpolation': 'tf1_bilinear'},
  ],
  ids=['own card', 'MindSpore', 'TF-slim'],
)
def prepared(request, weights, tmp_path_factory):
  """A SavedModel that prepares images by a card, and the card."""
  changed = dataclasses.replace(
    weights, card=dataclasses.replace(weights.card, **request.param)
  )
  path = str(tmp_path_factory.mktemp('prepared') / 'network')
  formats.FORMATS['savedmodel'].save(changed, path, 5)
  return path, changed.card


def picture(i, kind, **options):
  pixels = np.random.default_rng(i).integers(0, 256, (4, 3, 3), np.uint8)
  file = io.BytesIO()
  Image.fromarray(pixels).resize((40 + i, 30)).save(file, kind, **options)
  return file.getvalue()


@pytest.mark.slow
def test_encoded_images_are_preprocessed(prepared):
  import tensorflow as tf

  frames = [Image.new('RGB', (60, 50), color) for color in ('red', 'blue')]
  encoded = [
    picture(0, 'jpeg'),
    picture(1, 'png'),
    picture(2, 'bmp'),
    picture(3, 'gif'),
    picture(4, 'gif', comment=b'c' * 600),
    picture(5, 'gif'),
    picture(6, 'webp'),
    picture(7, 'webp', lossless=True),
    picture(8, 'webp', lossless=True, exif=EXIF),
    hostile_images.moving('webp'),
    hostile_images.picture('gif', mode='P', transparency=9),
    hostile_images.picture('png', mode='P', transparency=9),
  ]
  path, its_card = prepared
  data = card.to_config(its_card)
  images = [decode.eval_image(tf.constant(x), data, False) for x in encoded]
  # Of a GIF, the first frame counts, whatever follows it.
  encoded[5] = picture(5, 'gif', append_images=frames, save_all=True)
  loaded = tf.saved_model.load(path)
  outputs = loaded.signatures['encoded'](encoded=tf.constant(encoded))
  images = (np.float32(images) - np.float32(127.5)) / np.float32(127.5)
  classify = formats.load(path).classify
  np.testing.assert_allclose(outputs['logits'], classify(images), atol=1e-5)
  probabilities = outputs['probabilities'].numpy()
  np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def test_too_large_images_are_not_decoded(saved_model):
  import tensorflow as tf

  text = '{}×{} is more than data.max_pixels=80000000'.format
  bad_images = {
    name: (encoded, text(*size))
    for name, (encoded, *size) in hostile_images.too_large().items()
  }
  bad_images |= {
    'BMP with a palette': (
      hostile_images.picture('bmp', mode='P'),
      'a BMP with a palette is not supported',
    ),
    'BMP of OS/2': (hostile_images.bmp_of_os2(40, 30), 'nor one of OS/2'),
    'scans': (hostile_images.jpeg_of_scans(600, 4000, 4000), 'scans of 4000×'),
    'texts': (hostile_images.png_with_texts(17, 9), 'compressed texts is not'),
    'animation': (
      hostile_images.moving('webp')[:90],
      'an animated WebP must begin with a frame',
    ),
    'junk': (b'junk', 'unknown image format'),
    'nothing': (b'', 'unknown image format'),
  }
  signature = tf.saved_model.load(saved_model).signatures['encoded']
  for name, (encoded, reason) in bad_images.items():
    with pytest.raises(tf.errors.InvalidArgumentError) as raised:
      signature(encoded=tf.constant([picture(0, 'png'), encoded]))
    assert reason in str(raised.value), name


def test_saved_model_is_for_every_platform_and_tensorflow(saved_model):
  from tensorflow.core.protobuf import saved_model_pb2

  with open(f'{saved_model}/saved_model.pb', 'rb') as file:
    saved = saved_model_pb2.SavedModel.FromString(file.read())
  (meta,) = saved.meta_graphs
  parts = {field.name: part for field, part in meta.graph_def.ListFields()}
  (module,) = (
    node
    for function in parts['library'].function
    for node in function.node_def
    if node.op == 'XlaCallModule'
  )
  assert set(module.attr['platforms'].list.s) == {b'CPU', b'CUDA', b'TPU'}
  # TensorFlow 2.21 reads up to 1.17, and JAX 0.12 writes 1.18 by default.
  (version,) = re.findall(rb'StableHLO_v([0-9.]+)', module.attr['module'].s)
  assert [*map(int, version.split(b'.'))] < [1]

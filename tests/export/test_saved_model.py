import io
import struct

import numpy as np
from PIL import Image
import pytest

from inception_jax.data import decode
from inception_jax.export import formats
from inception_jax.models import card

EXIF = Image.Exif()
EXIF[0x0112] = 6  # orientation: rotate by 90°


@pytest.fixture(scope='module')
def saved_model(weights, tmp_path_factory):
  path = str(tmp_path_factory.mktemp('saved_model') / 'network')
  formats.FORMATS['savedmodel'].save(weights, path, 5)
  return path


def picture(i, kind, **options):
  pixels = np.random.default_rng(i).integers(0, 256, (4, 3, 3), np.uint8)
  file = io.BytesIO()
  Image.fromarray(pixels).resize((40 + i, 30)).save(file, kind, **options)
  return file.getvalue()


def test_encoded_images_are_preprocessed(weights, saved_model):
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
  ]
  data = card.to_config(weights.card)
  images = [decode.eval_image(tf.constant(x), data, False) for x in encoded]
  # Of a GIF, the first frame counts, whatever follows it.
  encoded[5] = picture(5, 'gif', append_images=frames, save_all=True)
  loaded = tf.saved_model.load(saved_model)
  outputs = loaded.signatures['encoded'](encoded=tf.constant(encoded))
  images = (np.float32(images) - np.float32(127.5)) / np.float32(127.5)
  classify = formats.load(saved_model).classify
  np.testing.assert_allclose(outputs['logits'], classify(images), atol=1e-5)
  probabilities = outputs['probabilities'].numpy()
  np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def huge(kind, offset, form, *size, word=b'', **options):
  """Returns an image whose header has another size, at an offset from `word`.

  `form` is the size's format in terms of `struct`.
  """
  encoded = bytearray(picture(0, kind, **options))
  offset += encoded.index(word)
  struct.pack_into(form, encoded, offset, *size)
  return bytes(encoded)


def test_too_large_images_are_not_decoded(saved_model):
  import tensorflow as tf

  frame = b'\x2c' + struct.pack('<HHHH', 0, 0, 40, 30)
  lossless = {'lossless': True}
  bits = 16383 | 9999 << 14
  palette = io.BytesIO()
  Image.new('P', (40, 30)).save(palette, 'BMP')
  too_large = '{}×{} is more than data.max_pixels=80000000'.format
  bad_images = {
    'JPEG': (
      huge('jpeg', 5, '>HH', 60000, 60000, word=b'\xff\xc0'),
      'more pixels than data.max_pixels',
    ),
    'PNG': (huge('png', 16, '>II', 60001, 60000), too_large(60001, 60000)),
    'PNG whose number of pixels overflows': (
      huge('png', 16, '>II', 2**32 - 1, 2**32 - 1),
      too_large(2**32 - 1, 2**32 - 1),
    ),
    'GIF': (huge('gif', 6, '<HH', 60001, 60000), too_large(60001, 60000)),
    'frame of a GIF': (
      huge('gif', 5, '<HH', 60001, 60000, word=frame, comment=b'c' * 600),
      too_large(60001, 60000),
    ),
    'BMP': (huge('bmp', 18, '<ii', 60001, 60000), too_large(60001, 60000)),
    'BMP with rows from the top': (
      huge('bmp', 18, '<ii', 60001, -60000),
      too_large(60001, 60000),
    ),
    'WebP': (huge('webp', 26, '<HH', 16383, 16382), too_large(16383, 16382)),
    'lossless WebP': (
      huge('webp', 21, '<I', bits, **lossless),
      too_large(16384, 10000),
    ),
    'extended WebP': (
      huge('webp', 24, '<HBHB', 59999, 0, 59998, 0, exif=EXIF),
      too_large(60000, 59999),
    ),
    'BMP with a palette': (
      palette.getvalue(),
      'a BMP with a palette is not supported',
    ),
    'junk': (b'junk', 'unknown image format'),
    'nothing': (b'', 'unknown image format'),
  }
  signature = tf.saved_model.load(saved_model).signatures['encoded']
  for name, (encoded, reason) in bad_images.items():
    with pytest.raises(tf.errors.InvalidArgumentError) as raised:
      signature(encoded=tf.constant([picture(0, 'png'), encoded]))
    assert reason in str(raised.value), name


def test_saved_model_is_for_every_platform(saved_model):
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

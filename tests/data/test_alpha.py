"""Transparent pixels of every format, against Pillow's `convert`."""

import io
import struct
import zlib

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from configs import digits
from inception_jax.data import decode
from inception_jax.models import factory

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (24, 32, 4), np.uint8)
PIXELS[:, :10, 3], PIXELS[:, 20:, 3] = 0, 255
RGBA = Image.fromarray(PIXELS)
PALETTE = RGBA.convert('RGB').quantize(16)
COLORS = {'white': (255, 255, 255), '#2b0Ac8': (0x2B, 0x0A, 0xC8)}


def saved(image, kind, **options):
  file = io.BytesIO()
  image.save(file, kind, **options)
  return file.getvalue()


def png(bits, color_type, *chunks):
  """A PNG of noise that Pillow does not write."""
  channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color_type]
  rows = [RANDOM.bytes(32 * bits * channels // 8) for _ in range(24)]
  parts = [
    (b'IHDR', struct.pack('>IIBBBBB', 32, 24, bits, color_type, 0, 0, 0)),
    *chunks,
    (b'IDAT', zlib.compress(b''.join(b'\0' + row for row in rows))),
    (b'IEND', b''),
  ]
  packed = (
    struct.pack('>I', len(text))
    + name
    + text
    # The checksum is of both.
    + struct.pack('>I', zlib.crc32(name + text))
    for name, text in parts
  )
  return b'\x89PNG\r\n\x1a\n' + b''.join(packed)


def with_palette(bits):
  entries = 2**bits
  chunks = (
    (b'PLTE', RANDOM.bytes(3 * entries)),
    (b'tRNS', RANDOM.bytes(entries)),
  )
  return png(bits, 3, *chunks)


def gif_at(corner, screen, **options):
  """A GIF whose frame of 32×24 is at a place of another screen."""
  gif = bytearray(saved(PALETTE, 'gif', **options))
  frame = gif.index(b'\x2c' + struct.pack('<HHHH', 0, 0, 32, 24))
  struct.pack_into('<HH', gif, frame + 1, *corner)
  struct.pack_into('<HH', gif, 6, *screen)
  return bytes(gif)


def webp_at(corner):
  """An animated WebP whose first frame lies in a transparent canvas."""
  first = Image.new('RGBA', (48, 36))
  first.paste(RGBA, corner)
  second = Image.new('RGBA', (48, 36), 'red')
  return saved(
    *(first, 'webp'), save_all=True, append_images=[second], lossless=True
  )


def bmp_with_alpha():
  masks = [0xFF0000, 0xFF00, 0xFF, 0xFF000000]
  info = struct.pack('<IiiHHIIiiII4I', 56, 32, 24, 1, 32, 3, *[0] * 5, *masks)
  pixels = PIXELS[::-1, :, [2, 1, 0, 3]].tobytes()
  return b'BM' + struct.pack('<IHHI', 70 + 3072, 0, 0, 70) + info + pixels


KINDS = {
  'RGBA': saved(RGBA, 'png'),
  'LA': saved(RGBA.convert('LA'), 'png'),
  'RGB': saved(RGBA.convert('RGB'), 'png'),
  'palette': saved(PALETTE, 'png'),
  'palette with alpha': saved(PALETTE, 'png', transparency=bytes(range(16))),
  'palette with a clear index': saved(PALETTE, 'png', transparency=3),
  'clear color': saved(
    *(Image.fromarray(PIXELS[..., :3] // 64 * 64), 'png'),
    transparency=(64, 64, 64),
  ),
  'clear grey': saved(Image.fromarray(PIXELS[..., 0]), 'png', transparency=16),
  'grey of 1 bit': png(1, 0),
  'grey of 1 bit, one clear': png(1, 0, (b'tRNS', b'\0\1')),
  'grey of 2 bits': png(2, 0),
  'grey of 4 bits': png(4, 0),
  'palette of 1 bit': with_palette(1),
  'palette of 2 bits': with_palette(2),
  'RGB of 16 bits': png(16, 2),
  'RGBA of 16 bits': png(16, 6),
  'LA of 16 bits': png(16, 4),
  'APNG': saved(RGBA, 'png', save_all=True, append_images=[RGBA.rotate(180)]),
  'GIF': saved(RGBA, 'gif'),
  'opaque GIF': saved(PALETTE, 'gif'),
  'GIF with a clear index': saved(PALETTE, 'gif', transparency=3),
  'GIF with a comment': saved(
    PALETTE, 'gif', transparency=3, comment=b'c' * 600
  ),
  'small frame': gif_at((3, 5), (40, 30), transparency=3),
  'small opaque frame': gif_at((3, 5), (40, 30)),
  'frame beyond its screen': gif_at((3, 5), (20, 28), transparency=3),
  'WebP': saved(RGBA, 'webp', quality=70),
  'lossless WebP': saved(RGBA, 'webp', lossless=True, exact=True),
  'opaque WebP': saved(RGBA.convert('RGB'), 'webp'),
  'frame of a WebP': webp_at((10, 6)),
  'BMP': bmp_with_alpha(),
  'BMP of 32 bits': saved(RGBA, 'bmp'),
}


def decoded(encoded, background, python):
  data = factory.resolve(digits.get_config()).data
  data.update(background=background, train_crop='none', channels=3)
  if python:
    return decode.train_crop(tf.constant(encoded), None, data).numpy()
  # A SavedModel gives no other crop.
  with Image.open(io.BytesIO(encoded)) as image:
    data.update(image_size=max(image.size), eval_crop_mode='squash')
  data.interpolation = 'nearest'
  return decode.eval_image(tf.constant(encoded), data, python=False).numpy()


def expected(encoded, background, python):
  image = Image.open(io.BytesIO(encoded))
  if background == 'none':
    image = image.convert('RGB')
  else:
    under = Image.new('RGBA', image.size, COLORS[background])
    image = Image.alpha_composite(under, image.convert('RGBA')).convert('RGB')
  if not python:
    image = image.resize([max(image.size)] * 2, Image.Resampling.NEAREST)
  return np.asarray(image).astype(int)


# Pillow's own, of palettes with alpha.
@pytest.mark.slow
@pytest.mark.filterwarnings('ignore:Palette images with Transparency')
@pytest.mark.parametrize('python', [True, False])
@pytest.mark.parametrize('kind', KINDS)
def test_transparent_pixels_are_pillows(kind, python):
  exact = decoded(KINDS[kind], 'none', python)
  np.testing.assert_array_equal(exact, expected(KINDS[kind], 'none', python))
  for background in COLORS:
    over = decoded(KINDS[kind], background, python).astype(int)
    error = over - expected(KINDS[kind], background, python)
    assert np.abs(error).max() <= 1, background


@pytest.mark.parametrize('bits, color_type', [(16, 0), (2, 0), (16, 2)])
def test_a_clear_level_is_compared_before_it_is_scaled(bits, color_type):
  """Pillow compares the scaled levels with the unscaled one."""
  channels = {0: 1, 2: 3}[color_type]
  levels = RANDOM.integers(0, 2**bits, (24, 32, channels))
  image = png(bits, color_type, (b'tRNS', bytes([0, 1] * channels)))
  start = image.index(b'IDAT') + 4
  size = struct.unpack('>I', image[start - 8 : start - 4])[0]
  rows = zlib.decompress(image[start : start + size])
  rows = np.frombuffer(rows, np.uint8).reshape(24, -1)[:, 1:]
  if bits == 2:
    levels = np.stack([rows >> shift & 3 for shift in (6, 4, 2, 0)], -1)
    levels = levels.reshape(24, 32, 1)
    opaque = levels * 85
  else:
    levels = rows.reshape(24, 32, channels, 2).astype(int)
    levels = levels[..., 0] * 256 + levels[..., 1]
    opaque = levels >> 8
  clear = (levels == 1).all(-1, keepdims=True)
  white = np.where(clear, 255, opaque)
  shape = (24, 32, 3)
  for background, pixels in (('none', opaque), ('white', white)):
    result = decoded(image, background, True)
    np.testing.assert_array_equal(result, np.broadcast_to(pixels, shape))

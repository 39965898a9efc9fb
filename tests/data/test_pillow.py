"""What Pillow decodes: TIFF, JPEG 2000 and AVIF."""

import io
import struct

import numpy as np
from PIL import Image
from PIL import ImageOps
import pytest
import tensorflow as tf

from inception_jax.data import decode
from inception_jax.data import pipeline
from inception_jax.data.bad_images import BadImages
from inception_jax.data.prepare import duplicates
from inception_jax.data.sources import registry
from tests.support.image_folders import config_of

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (24, 32, 4), np.uint8)
RGB = Image.fromarray(PIXELS[..., :3])
RGBA = Image.fromarray(PIXELS)
DEEP = RANDOM.integers(0, 2**16, (24, 32)).astype(np.uint16)


def turned():
  """EXIF data, of which Pillow takes the orientation when it writes AVIF."""
  exif = Image.Exif()
  exif[0x0112] = 6  # rotate by 90°
  return exif


def saved(image, kind, **options):
  file = io.BytesIO()
  image.save(file, kind, **options)
  return file.getvalue()


def tiff(pixels, bits, photometric=1, order='<', sample_format=1):
  """A TIFF of grey levels that Pillow does not write."""
  tags = {
    256: 32,
    257: 24,
    258: bits,
    259: 1,  # not compressed
    262: photometric,
    273: 8,  # where the pixels are
    277: 1,
    278: 24,
    279: len(pixels),
    339: sample_format,
  }
  entries = b''.join(
    struct.pack(f'{order}HHII', tag, 4, 1, value) for tag, value in tags.items()
  )
  head = b'II*\0' if order == '<' else b'MM\0*'
  directory = struct.pack(f'{order}H', len(tags)) + entries + bytes(4)
  return (
    head + struct.pack(f'{order}I', 8 + len(pixels)) + bytes(pixels) + directory
  )


def grey(levels):
  return np.repeat(np.asarray(levels, np.uint8)[..., None], 3, axis=-1)


def twelve_bits():
  """Two levels in three bytes, and the levels."""
  levels = RANDOM.integers(0, 2**12, (24, 32))
  first, second = levels[:, ::2], levels[:, 1::2]
  packed = [first >> 4, (first & 15) << 4 | second >> 8, second & 255]
  return np.stack(packed, -1).astype(np.uint8).tobytes(), levels


TWELVE, LEVELS = twelve_bits()
PAGES = {'save_all': True, 'append_images': [Image.new('RGB', (9, 9))]}
SOFT = Image.fromarray(PIXELS[:4, :6, :3]).resize((32, 24))
AVIF = saved(SOFT, 'avif', quality=100, subsampling='4:4:4')
EXACT = {
  'TIFF': (saved(RGB, 'tiff'), PIXELS[..., :3]),
  'LZW': (saved(RGB, 'tiff', compression='tiff_lzw'), PIXELS[..., :3]),
  'pages': (saved(RGB, 'tiff', **PAGES), PIXELS[..., :3]),
  'BigTIFF': (saved(RGB, 'tiff', big_tiff=True), PIXELS[..., :3]),
  'grey': (saved(RGB.convert('L'), 'tiff'), grey(RGB.convert('L'))),
  'one bit': (
    saved(RGB.convert('1'), 'tiff', compression='group4'),
    grey(RGB.convert('1').convert('L')),
  ),
  'palette': (
    saved(RGB.quantize(16), 'tiff'),
    np.asarray(RGB.quantize(16).convert('RGB')),
  ),
  'CMYK': (
    saved(Image.fromarray(PIXELS, 'CMYK'), 'tiff'),
    np.asarray(Image.fromarray(PIXELS, 'CMYK').convert('RGB')),
  ),
  'alpha': (saved(RGBA, 'tiff'), PIXELS[..., :3]),
  'turned': (
    saved(RGB, 'tiff', exif=turned()),
    np.rot90(PIXELS[..., :3], -1),
  ),
  '16 bits': (tiff(DEEP.tobytes(), 16), grey(DEEP >> 8)),
  '16 bits from the most significant byte': (
    tiff(DEEP.astype('>u2').tobytes(), 16, order='>'),
    grey(DEEP >> 8),
  ),
  '16 bits from white': (tiff(DEEP.tobytes(), 16, 0), grey(255 - (DEEP >> 8))),
  '12 bits': (tiff(TWELVE, 12), grey(LEVELS >> 4)),
  'JPEG 2000': (saved(RGB, 'jpeg2000'), PIXELS[..., :3]),
  'stream of JPEG 2000': (
    saved(RGB, 'jpeg2000', no_jp2=True),
    PIXELS[..., :3],
  ),
  'JPEG 2000 of 16 bits': (
    saved(Image.fromarray(DEEP), 'jpeg2000'),
    grey(DEEP >> 8),
  ),
  'JPEG 2000 with alpha': (saved(RGBA, 'jpeg2000'), PIXELS[..., :3]),
}
BAD = {
  'float': (
    tiff(DEEP.astype(np.float32).tobytes(), 32, sample_format=3),
    'pixels of 32 bits, signed or of floating point are not read: convert them '
    'to 8 or 16 bits',
  ),
  'signed': (
    tiff(DEEP.tobytes(), 16, sample_format=2),
    'pixels of 32 bits, signed or of floating point',
  ),
  'cut TIFF': (saved(RGB, 'tiff')[:-900], 'image file is truncated'),
  'head': (b'II*\0' + bytes(9), 'damaged, or of a kind that Pillow'),
  'cut JPEG 2000': (saved(RGB, 'jpeg2000')[:-300], 'broken data stream'),
  'cut AVIF': (AVIF[:-200], 'Truncated data'),
  'large': (
    saved(Image.new('1', (9000, 8000)), 'tiff', compression='group4'),
    '9000×8000 is more than data.max_pixels=1000000',
  ),
  'large JPEG 2000': (
    saved(Image.new('L', (1001, 1000)), 'jpeg2000'),
    '1001×1000 is more than data.max_pixels=1000000',
  ),
  'large AVIF': (
    saved(Image.new('L', (1001, 1000)), 'avif'),
    '1001×1000 is more than data.max_pixels=1000000',
  ),
  'HEIC': (b'\0\0\0\x18ftypheic' + bytes(99), 'HEIC is not read: convert it'),
}


@pytest.fixture
def data():
  data = config_of('').data
  data.update(channels=3, train_crop='none', max_pixels=1_000_000)
  return data


def read(encoded, data):
  return decode.train_crop(tf.constant(encoded), None, data).numpy()


@pytest.mark.slow
@pytest.mark.parametrize('kind', EXACT)
def test_pixels_are_those_that_were_stored(kind, data):
  encoded, expected = EXACT[kind]
  np.testing.assert_array_equal(read(encoded, data), expected)
  data.update(image_size=24, eval_crop_mode='short_side', eval_crop_fraction=1)
  crop = decode.eval_image(tf.constant(encoded), data).numpy()
  margins = [(side - 24) // 2 for side in expected.shape[:2]]
  rows, columns = (slice(margin, margin + 24) for margin in margins)
  np.testing.assert_array_equal(crop, expected[rows, columns])
  # In TensorFlow's graph alone.
  with pytest.raises(tf.errors.InvalidArgumentError, match='not read here'):
    decode.eval_image(tf.constant(encoded), data, python=False)


@pytest.mark.parametrize('exif', ['ignore', 'apply'])
def test_avif_is_read_and_turned_as_by_pillow(exif, data):
  data.exif = exif
  moving = saved(SOFT, 'avif', **PAGES | {'append_images': [RGB]})
  sideways = saved(SOFT, 'avif', exif=turned())
  for encoded in (AVIF, moving, sideways):
    expected = Image.open(io.BytesIO(encoded))
    if exif == 'apply':
      expected = ImageOps.exif_transpose(expected)
    pixels = read(encoded, data)
    np.testing.assert_array_equal(pixels, expected.convert('RGB'))
  assert pixels.shape == ((24, 32, 3) if exif == 'ignore' else (32, 24, 3))


@pytest.mark.parametrize('kind', ['tiff', 'jpeg2000', 'avif'])
def test_transparent_pixels_lie_over_the_background(kind, data):
  encoded = saved(RGBA, kind)
  data.background = '#102030'
  image = Image.open(io.BytesIO(encoded)).convert('RGBA')
  under = Image.new('RGBA', image.size, (0x10, 0x20, 0x30))
  expected = Image.alpha_composite(under, image).convert('RGB')
  np.testing.assert_array_equal(read(encoded, data), expected)


@pytest.mark.slow
def test_they_are_read_from_folders_and_bad_ones_are_named(
  tmp_path, data, monkeypatch
):
  folder = tmp_path / 'val' / 'x'
  folder.mkdir(parents=True)
  endings = {'JPEG 2000': 'jp2', 'stream of JPEG 2000': 'J2K'}
  for name, (encoded, _) in EXACT.items():
    (folder / f'{name}.{endings.get(name, "tif")}').write_bytes(encoded)
  (folder / 'a.avif').write_bytes(AVIF)
  for name, (encoded, _) in BAD.items():
    (folder / f'{name}.tiff').write_bytes(encoded)
  (folder / 'left.heic').write_bytes(b'')
  loaded = []
  load = Image.Image.load
  monkeypatch.setattr(
    Image.Image, 'load', lambda x: loaded.append(x.size) or load(x)
  )
  config = config_of(tmp_path, max_bad_fraction=1.0, max_pixels=1_000_000)
  split = registry.load(config, 'validation')
  assert split.size == len(EXACT) + 1 + len(BAD)
  bad = BadImages(split, config.data)
  batches = list(pipeline.eval_batches(split, config.data, 8, range(8), bad))
  assert sum(batch['mask'].sum() for batch in batches) == len(EXACT) + 1
  reasons = dict(line.split('.tiff: ') for line in bad.lines)
  assert reasons.keys() == {str(folder / name) for name in BAD}
  for name, (_, reason) in BAD.items():
    assert reason in reasons[str(folder / name)], name
  assert max(width * height for width, height in loaded) <= 1_000_000


def test_difference_hashes_of_16_bits_differ():
  """Pillow clips 16 bits to 8: every such image would be white."""
  deep = saved(Image.fromarray(DEEP), 'tiff')
  shallow = saved(Image.fromarray((DEEP >> 8).astype(np.uint8)), 'png')
  assert duplicates.difference_hash(deep) == duplicates.difference_hash(shallow)
  other = saved(Image.fromarray(DEEP[::-1, ::-1].copy()), 'tiff')
  assert duplicates.difference_hash(deep) != duplicates.difference_hash(other)

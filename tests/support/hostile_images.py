"""Small image files that ask much of a decoder, and harmless ones like them.

Each function returns the bytes of a file.
"""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def picture(kind, width=40, height=30, mode='RGB', **options):
  """An image of smooth noise; `kind` and `options` are those of Pillow."""
  noise = np.random.default_rng(0).integers(0, 256, (4, 3, 3), np.uint8)
  image = Image.fromarray(noise).resize((width, height)).convert(mode)
  file = io.BytesIO()
  image.save(file, kind, **options)
  return file.getvalue()


def moving(kind, **options):
  """Like `picture`, with a second, red frame."""
  red = Image.new('RGB', (40, 30), 'red')
  return picture(kind, save_all=True, append_images=[red], **options)


def plain(kind, width, height, **options):
  file = io.BytesIO()
  Image.new('L', (width, height), 90).save(file, kind, **options)
  return file.getvalue()


def gif_of_frames(count, width, height):
  """A GIF of equal frames."""
  still = plain('gif', width, height)
  begin = 13 + 3 * 2 ** (still[10] % 8 + 1)
  return still[:begin] + count * still[begin:-1] + b';'


def gif_of_blocks(count):
  """A GIF with a comment of this number of tiny blocks before its frame."""
  still = plain('gif', 40, 30)
  begin = 13 + 3 * 2 ** (still[10] % 8 + 1)
  comment = b'!\xfe' + count // 2 * b'\1c\2cc' + b'\0'
  return still[:begin] + comment + still[begin:]


def jpeg_of_scans(count, width, height):
  """A progressive JPEG whose last scan is repeated."""
  jpeg = plain('jpeg', width, height, progressive=True)
  last = jpeg.rindex(b'\xff\xda')
  return jpeg[:last] + count * jpeg[last:-2] + b'\xff\xd9'


def jpeg_of_two_sizes(width, height):
  """A JPEG with a second header of its frame, of this size."""
  jpeg = plain('jpeg', 40, 30)
  at = jpeg.index(b'\xff\xc0')
  segment = bytearray(jpeg[at : at + 2 + 256 * jpeg[at + 2] + jpeg[at + 3]])
  struct.pack_into('>HH', segment, 5, height, width)
  return jpeg[:at] + jpeg[at : at + len(segment)] + segment + jpeg[at:]


def _chunk(name, content):
  crc = zlib.crc32(name + content)
  return struct.pack('>I', len(content)) + name + content + _be(crc)


def _be(number):
  return struct.pack('>I', number)


def png_with_texts(count, size):
  """A PNG with compressed texts that inflate to this number of bytes each."""
  png = plain('png', 40, 30)
  text = _chunk(b'zTXt', b'key\0\0' + zlib.compress(size * b'a', 9))
  return png[:33] + count * text + png[33:]


def png_with_two_sizes(width, height):
  """A PNG of one size with a chunk before its header that looks like 40×30."""
  png = plain('png', width, height)
  return png[:8] + _chunk(b'zzZz', struct.pack('>II', 40, 30)) + png[8:]


def webp_with_canvas(width, height):
  """A WebP of 40×30 that is said to have another size."""
  exif = Image.Exif()
  exif[0x0112] = 6
  webp = bytearray(picture('webp', lossless=True, exif=exif))
  at = webp.index(b'VP8X') + 12
  webp[at : at + 3] = (width - 1).to_bytes(3, 'little')
  webp[at + 3 : at + 6] = (height - 1).to_bytes(3, 'little')
  return bytes(webp)


def bmp(width, height, bits=24, compression=0, pixels=b''):
  """A BMP without a palette, whose header may say anything."""
  info = struct.pack(
    '<IiiHHIIiiII', 40, width, height, 1, bits, compression, 0, 0, 0, 0, 0
  )
  size = 14 + len(info)
  head = b'BM' + struct.pack('<IHHI', size + len(pixels), 0, 0, size)
  return head + info + pixels


def bmp_of_os2(width, height):
  """A BMP with the short header of OS/2, of 24 bits a pixel."""
  row = bytes(-3 * width % 4)
  pixels = height * (bytes(range(3)) * width + row)
  info = struct.pack('<IHHHH', 12, width, height, 1, 24)
  head = b'BM' + struct.pack('<IHHI', 26 + len(pixels), 0, 0, 26)
  return head + info + pixels


def huge(kind, offset, form, *size, word=b'', **options):
  """A `picture` whose header has another size, at an offset from `word`.

  `form` is the size's format in terms of `struct`; `options` are Pillow's.
  """
  encoded = bytearray(picture(kind, **options))
  struct.pack_into(form, encoded, offset + encoded.index(word), *size)
  return bytes(encoded)


def too_large():
  """Returns {name: (file, width, height)}, more than 80 million pixels each."""
  frame = b'\x2c' + struct.pack('<HHHH', 0, 0, 40, 30)
  exif = Image.Exif()
  exif[0x0112] = 6
  bits = 16383 | 9999 << 14
  return {
    'JPEG': (
      huge('jpeg', 5, '>HH', 59999, 60000, word=b'\xff\xc0'),
      60000,
      59999,
    ),
    'PNG': (huge('png', 16, '>II', 60001, 60000), 60001, 60000),
    'PNG whose number of pixels overflows': (
      huge('png', 16, '>II', 2**32 - 1, 2**32 - 1),
      2**32 - 1,
      2**32 - 1,
    ),
    'GIF': (huge('gif', 6, '<HH', 60001, 60000), 60001, 60000),
    'frame of a GIF': (
      huge('gif', 5, '<HH', 60001, 60000, word=frame, comment=b'c' * 600),
      60001,
      60000,
    ),
    'BMP': (huge('bmp', 18, '<ii', 60001, 60000), 60001, 60000),
    'BMP with rows from the top': (
      huge('bmp', 18, '<ii', 60001, -60000),
      60001,
      60000,
    ),
    'WebP': (huge('webp', 26, '<HH', 16383, 16382), 16383, 16382),
    'lossless WebP': (
      huge('webp', 21, '<I', bits, lossless=True),
      16384,
      10000,
    ),
    'extended WebP': (
      huge('webp', 24, '<HBHB', 59999, 0, 59998, 0, exif=exif),
      60000,
      59999,
    ),
  }

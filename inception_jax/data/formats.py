"""How formats are recognized, and where they have the image's size."""

import dataclasses

import numpy as np

HEADER_BYTES = 32  # hold the size in every format but GIF
ANY = -1  # matches every byte
_LITTLE = (1, 256, 256**2, 256**3)


@dataclasses.dataclass(frozen=True)
class Format:
  """How a format is recognized, and where its header has the image's size.

  Attributes:
    words: bytes by offset.
    places: offsets of width and height.
    weights: of the bytes from there on; their sum is divided by `divisors`,
      taken by `modulus` and increased by `plus`.
  """

  words: dict[int, bytes]
  places: tuple[int, int] = (0, 0)
  weights: tuple[int, ...] = ()
  divisors: tuple[int, int] = (1, 1)
  modulus: int = 2**32
  plus: int = 0

  def word_bytes(self) -> np.ndarray:
    """The bytes of a header, or `ANY`: int64 [32]."""
    row = np.full(HEADER_BYTES, ANY)
    for at, word in self.words.items():
      row[at : at + len(word)] = list(word)
    return row

  def size_weights(self) -> np.ndarray:
    """The weights of a header's bytes: int64 [2, 32]."""
    rows = np.zeros((2, HEADER_BYTES), np.int64)
    for row, at in zip(rows, self.places, strict=True):
      row[at : at + len(self.weights)] = self.weights
    return rows


_WEBP = {0: b'RIFF', 8: b'WEBP'}
_JP2 = b'\0\0\0\x0cjP  \r\n\x87\n'
FORMATS = {
  # Before another chunk, libpng accepts one with any size in place of IHDR.
  'PNG': Format(
    {0: b'\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR'}, (16, 20), _LITTLE[::-1]
  ),
  'GIF': Format({0: b'GIF8'}, (6, 8), _LITTLE[:2]),
  'OS/2 BMP': Format({0: b'BM', 14: b'\x0c\0\0\0'}, (18, 20), _LITTLE[:2]),
  'BMP': Format({0: b'BM'}, (18, 22), _LITTLE),
  'WebP': Format({**_WEBP, 12: b'VP8 '}, (26, 28), _LITTLE[:2], modulus=2**14),
  'lossless WebP': Format(
    {**_WEBP, 12: b'VP8L'}, (21, 21), _LITTLE, (1, 2**14), 2**14, 1
  ),
  'extended WebP': Format(
    {**_WEBP, 12: b'VP8X'}, (24, 27), _LITTLE[:3], plus=1
  ),
  # Pillow reads their size, before their pixels.
  'TIFF': Format({0: b'II*\0'}),
  'TIFF from the most significant byte': Format({0: b'MM\0*'}),
  'BigTIFF': Format({0: b'II+\0'}),
  'JPEG 2000': Format({0: _JP2}),
  'stream of JPEG 2000': Format({0: b'\xff\x4f\xff\x51'}),
  'AVIF': Format({4: b'ftypavif'}),
  'moving AVIF': Format({4: b'ftypavis'}),
  'HEIF': Format({4: b'ftyp'}),
  'unknown': Format({}),
}
BMPS = ('OS/2 BMP', 'BMP')
WEBPS = ('WebP', 'lossless WebP', 'extended WebP')
BY_PILLOW = tuple(FORMATS)[-9:-2]

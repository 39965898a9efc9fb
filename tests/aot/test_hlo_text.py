"""Shapes, layouts and errors of compiled HLO text."""

import pytest

from inception_jax.aot.hlo_text import Program
from inception_jax.aot.hlo_text import parse_shape

IMAGES = 64 * 64 * 64 * 128 * 2  # bytes, with 64 channels padded to 128


@pytest.mark.parametrize(
  'shape, size, padded_size, in_hbm',
  [
    ('f32[]', 4, 4, True),
    ('pred[7]{0}', 7, 7, True),
    ('u8[4,16,16,3]{3,0,2,1:T(4,128)(4,1)S(1)}', 3072, 4 * 256 * 128, False),
    ('f32[96]{0:T(128)S(1)}', 384, 512, False),
    # The layout's minor-most dimension is the shape's first.
    ('f32[512,1000]{0,1:T(8,128)}', 2_048_000, 2_048_000, True),
    ('f32[512,1000]{1,0:T(8,128)}', 2_048_000, 512 * 1024 * 4, True),
    ('bf16[64,64,64,64]{3,0,2,1:T(8,128)(2,1)}', IMAGES // 2, IMAGES, True),
    ('s4[10]{0:T(1024)S(6)}', 5, 512, False),
  ],
)
def test_shapes_are_padded_to_whole_tiles(shape, size, padded_size, in_hbm):
  assert parse_shape(shape) == ((size, padded_size, in_hbm),)


def test_text_without_entry_computation_is_an_error():
  with pytest.raises(ValueError, match='ENTRY'):
    Program('module @jit_step {}')

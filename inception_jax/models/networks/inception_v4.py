"""Inception-v4 (Szegedy et al., arXiv:1602.07261; TF-slim's `inception_v4`).

The order of 1×7 and 7×1, 1×3 and 3×1 is TF-slim's, as in timm and MindCV, so
that their weights fit.
"""

from inception_jax.models.card import Card
from inception_jax.models.specs import AVG_POOL
from inception_jax.models.specs import DOWN
from inception_jax.models.specs import MAX_POOL
from inception_jax.models.specs import MAX_POOL_DOWN
from inception_jax.models.specs import VALID
from inception_jax.models.specs import Architecture
from inception_jax.models.specs import conv
from inception_jax.models.specs import mixed

_BLOCK_A = mixed(
  conv(96),
  (conv(64), conv(96, 3)),
  (conv(64), conv(96, 3), conv(96, 3)),
  (AVG_POOL, conv(96)),
)

_BLOCK_B = mixed(
  conv(384),
  (conv(192), conv(224, 1, 7), conv(256, 7, 1)),
  (
    conv(192),
    conv(192, 7, 1),
    conv(224, 1, 7),
    conv(224, 7, 1),
    conv(256, 1, 7),
  ),
  (AVG_POOL, conv(128)),
)

_BLOCK_C = mixed(
  conv(256),
  (conv(384), mixed(conv(256, 1, 3), conv(256, 3, 1))),
  (
    conv(384),
    conv(448, 3, 1),
    conv(512, 1, 3),
    mixed(conv(256, 1, 3), conv(256, 3, 1)),
  ),
  (AVG_POOL, conv(256)),
)


def _stem(first: dict, down: dict, last: dict, max_pool):
  """Stem with these strides and paddings of its convolutions."""
  return (
    ('conv_1a', conv(32, 3, **first)),  # 149×149×32
    ('conv_2a', conv(32, 3, **last)),  # 147×147×32
    ('conv_2b', conv(64, 3)),  # 147×147×64
    ('mixed_3a', mixed(max_pool, conv(96, 3, **down))),  # 73×73×160
    (
      'mixed_4a',  # 71×71×192
      mixed(
        (conv(64), conv(96, 3, **last)),
        (conv(64), conv(64, 1, 7), conv(64, 7, 1), conv(96, 3, **last)),
      ),
    ),
    ('mixed_5a', mixed(conv(192, 3, **down), max_pool)),  # 35×35×384
  )


_STEMS = {
  'imagenet': _stem(DOWN, DOWN, VALID, MAX_POOL_DOWN),
  # The same layers at stride 1, padded except for the first, for 32×32 images:
  # 30×30 throughout (weiaicunzai/pytorch-cifar100, models/inceptionv4.py).
  'small': _stem(VALID, {}, {}, MAX_POOL),
}

_BODY = (
  *((f'mixed_5{c}', _BLOCK_A) for c in 'bcde'),  # 35×35×384
  (
    'mixed_6a',  # 17×17×1024
    mixed(
      conv(384, 3, **DOWN),
      (conv(192), conv(224, 3), conv(256, 3, **DOWN)),
      MAX_POOL_DOWN,
    ),
  ),
  *((f'mixed_6{c}', _BLOCK_B) for c in 'bcdefgh'),  # 17×17×1024
  (
    'mixed_7a',  # 8×8×1536
    mixed(
      (conv(192), conv(192, 3, **DOWN)),
      (conv(256), conv(256, 1, 7), conv(320, 7, 1), conv(320, 3, **DOWN)),
      MAX_POOL_DOWN,
    ),
  ),
  *((f'mixed_7{c}', _BLOCK_C) for c in 'bcd'),  # 8×8×1536
)

INCEPTION_V4 = Architecture(_STEMS, _BODY, Card(), aux_after='mixed_6h')

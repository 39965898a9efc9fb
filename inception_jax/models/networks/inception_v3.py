"""Inception-v3 (Szegedy et al., arXiv:1512.00567; TF-slim's `inception_v3`).

The order of 1×7 and 7×1, 1×3 and 3×1 is TF-slim's, as in torchvision, timm
and Keras, so that their weights fit.
"""

import dataclasses

from inception_jax.models.card import Card
from inception_jax.models.specs import AVG_POOL
from inception_jax.models.specs import DOWN
from inception_jax.models.specs import MAX_POOL
from inception_jax.models.specs import MAX_POOL_DOWN
from inception_jax.models.specs import VALID
from inception_jax.models.specs import Architecture
from inception_jax.models.specs import conv
from inception_jax.models.specs import mixed


def _block_a(pool_features: int):
  return mixed(
    conv(64),
    (conv(48), conv(64, 5)),
    (conv(64), conv(96, 3), conv(96, 3)),
    (AVG_POOL, conv(pool_features)),
  )


def _block_b(c: int):
  return mixed(
    conv(192),
    (conv(c), conv(c, 1, 7), conv(192, 7, 1)),
    (conv(c), conv(c, 7, 1), conv(c, 1, 7), conv(c, 7, 1), conv(192, 1, 7)),
    (AVG_POOL, conv(192)),
  )


def _block_c(pool):
  """Two branches end in parallel convolutions."""
  return mixed(
    conv(320),
    (conv(384), mixed(conv(384, 1, 3), conv(384, 3, 1))),
    (conv(448), conv(384, 3), mixed(conv(384, 1, 3), conv(384, 3, 1))),
    (pool, conv(192)),
  )


STEMS = {
  'imagenet': (
    ('conv_1a', conv(32, 3, **DOWN)),  # 149×149×32
    ('conv_2a', conv(32, 3, **VALID)),  # 147×147×32
    ('conv_2b', conv(64, 3)),  # 147×147×64
    ('pool_3a', MAX_POOL_DOWN),  # 73×73×64
    ('conv_3b', conv(80)),  # 73×73×80
    ('conv_4a', conv(192, 3, **VALID)),  # 71×71×192
    ('pool_5a', MAX_POOL_DOWN),  # 35×35×192
  ),
  # The same convolutions without strides and pools, for 32×32 images
  # (weiaicunzai/pytorch-cifar100, models/inceptionv3.py).
  'small': (
    ('conv_1a', conv(32, 3)),  # 32×32×32
    ('conv_2a', conv(32, 3)),  # 32×32×32
    ('conv_2b', conv(64, 3)),  # 32×32×64
    ('conv_3b', conv(80)),  # 32×32×80
    ('conv_4a', conv(192, 3, **VALID)),  # 30×30×192
  ),
}

_REDUCTION_A = mixed(
  conv(384, 3, **DOWN),
  (conv(64), conv(96, 3), conv(96, 3, **DOWN)),
  MAX_POOL_DOWN,
)


def body(block_a, block_b, last_pool):
  """Stages after the stem, from these blocks; 'small' starts from 30×30."""
  return (
    ('mixed_5b', block_a(32)),  # 35×35×256
    ('mixed_5c', block_a(64)),  # 35×35×288
    ('mixed_5d', block_a(64)),  # 35×35×288
    ('mixed_6a', _REDUCTION_A),  # 17×17×768
    ('mixed_6b', block_b(128)),  # 17×17×768
    ('mixed_6c', block_b(160)),  # 17×17×768
    ('mixed_6d', block_b(160)),  # 17×17×768
    ('mixed_6e', block_b(192)),  # 17×17×768
    (
      'mixed_7a',  # 8×8×1280
      mixed(
        (conv(192), conv(320, 3, **DOWN)),
        (conv(192), conv(192, 1, 7), conv(192, 7, 1), conv(192, 3, **DOWN)),
        last_pool,
      ),
    ),
    ('mixed_7b', _block_c(AVG_POOL)),  # 8×8×2048
    ('mixed_7c', _block_c(AVG_POOL)),  # 8×8×2048
  )


INCEPTION_V3 = Architecture(
  STEMS, body(_block_a, _block_b, MAX_POOL_DOWN), Card(), aux_after='mixed_6e'
)
# The graph of 2015-12-05, that of the Fréchet inception distance: the last pool
# is a maximum (pytorch-fid, inception.py, FIDInceptionE_2).
FID_INCEPTION_V3 = dataclasses.replace(
  INCEPTION_V3,
  body=(*INCEPTION_V3.body[:-1], ('mixed_7c', _block_c(MAX_POOL))),
)

"""The 32×32 family of weiaicunzai/pytorch-cifar100, block for block.

`models/inceptionv3.py` and `models/inceptionv4.py` there: the paper's order
of 1×7 and 7×1, average pools that count the padding, no auxiliary head. Their
`Dropout2d` follows the global pool, where it equals plain dropout: 0.5 in v3,
0.2 in the others, which the recipes set.
"""

from inception_jax.models.card import Card
from inception_jax.models.networks import inception_resnet
from inception_jax.models.networks import inception_v3
from inception_jax.models.specs import AVG_POOL
from inception_jax.models.specs import DOWN
from inception_jax.models.specs import MAX_POOL
from inception_jax.models.specs import MAX_POOL_DOWN
from inception_jax.models.specs import PAD_1
from inception_jax.models.specs import Architecture
from inception_jax.models.specs import Pool
from inception_jax.models.specs import ProjectedResidual
from inception_jax.models.specs import conv
from inception_jax.models.specs import mixed

_CARD = Card(
  input_size=32,
  # Statistics of CIFAR-100's training images.
  mean=tuple(255 * x for x in (0.50707516, 0.48654887, 0.44091784)),
  std=tuple(255 * x for x in (0.26733429, 0.25643846, 0.27615047)),
  crop_fraction=1.0,
)
_PYTORCH = {'bn_epsilon': 1e-5, 'count_include_pad': True}


def _v3_block_a(pool_features: int):
  return mixed(
    conv(64),
    (conv(48), conv(64, 5)),
    (conv(64), conv(96, 3), conv(96, 3)),
    (AVG_POOL, conv(pool_features, 3)),
  )


def _v3_block_b(c: int):
  return mixed(
    conv(192),
    (conv(c), conv(c, 7, 1), conv(192, 1, 7)),
    (conv(c), conv(c, 7, 1), conv(c, 1, 7), conv(c, 7, 1), conv(192, 1, 7)),
    (AVG_POOL, conv(192)),
  )


CIFAR_INCEPTION_V3 = Architecture(
  {'small': inception_v3.STEMS['small']},
  inception_v3.body(_v3_block_a, _v3_block_b, Pool('avg', **DOWN)),
  _CARD,
  **_PYTORCH,
)

_STEM = (
  ('conv_1a', conv(32, 3, padding='VALID')),  # 30×30×32
  ('conv_2a', conv(32, 3)),  # 30×30×32
  ('conv_2b', conv(64, 3)),  # 30×30×64
  ('mixed_3a', mixed(conv(96, 3), MAX_POOL)),  # 30×30×160
  (
    'mixed_4a',  # 30×30×192
    mixed(
      (conv(64), conv(64, 7, 1), conv(64, 1, 7), conv(96, 3)),
      (conv(64), conv(96, 3)),
    ),
  ),
  ('mixed_5a', mixed(MAX_POOL, conv(192, 3))),  # 30×30×384
)


def _reduction_a(k: int, l: int, m: int, n: int):  # noqa: E741
  """Reduction-A; the parameters are named as in the paper's table 1."""
  return mixed(
    (conv(k), conv(l, 3), conv(m, 3, **DOWN)), conv(n, 3, **DOWN), MAX_POOL_DOWN
  )


_V4_BLOCK_A = mixed(
  (conv(64), conv(96, 3), conv(96, 3)),
  (conv(64), conv(96, 3)),
  conv(96),
  (AVG_POOL, conv(96)),
)

_V4_BLOCK_B = mixed(
  conv(384),
  (conv(192), conv(224, 1, 7), conv(256, 7, 1)),
  (
    conv(192),
    conv(192, 1, 7),
    conv(224, 7, 1),
    conv(224, 1, 7),
    conv(256, 7, 1),
  ),
  (AVG_POOL, conv(128)),
)

_V4_BLOCK_C = mixed(
  conv(256),
  (conv(384), mixed(conv(256, 3, 1), conv(256, 1, 3))),
  (
    conv(384),
    conv(448, 1, 3),
    conv(512, 3, 1),
    mixed(conv(256, 1, 3), conv(256, 3, 1)),
  ),
  (AVG_POOL, conv(256)),
)

_V4_BODY = (
  *((f'mixed_5{c}', _V4_BLOCK_A) for c in 'bcde'),  # 30×30×384
  ('mixed_6a', _reduction_a(192, 224, 256, 384)),  # 14×14×1024
  *((f'mixed_6{c}', _V4_BLOCK_B) for c in 'bcdefgh'),  # 14×14×1024
  (
    'mixed_7a',  # 7×7×1536
    mixed(
      (conv(192), conv(192, 3, strides=2, padding=PAD_1)),
      (
        conv(256),
        conv(256, 1, 7),
        conv(320, 7, 1),
        conv(320, 3, strides=2, padding=PAD_1),
      ),
      Pool('max', strides=2, padding=PAD_1),
    ),
  ),
  *((f'mixed_7{c}', _V4_BLOCK_C) for c in 'bcd'),  # 7×7×1536
)

CIFAR_INCEPTION_V4 = Architecture({'small': _STEM}, _V4_BODY, _CARD, **_PYTORCH)

_RESNET_BLOCK_A = ProjectedResidual(
  inception_resnet.BRANCHES_35, features=384, scale=1.0
)
_RESNET_BLOCK_B = ProjectedResidual(
  inception_resnet.BRANCHES_17, features=1154, scale=0.1
)
_RESNET_BLOCK_C = ProjectedResidual(
  inception_resnet.BRANCHES_8, features=2048, scale=0.1
)

_RESNET_BODY = (
  *((f'block_a_{i}', _RESNET_BLOCK_A) for i in range(1, 6)),  # 30×30×384
  ('reduction_a', _reduction_a(256, 256, 384, 384)),  # 14×14×1152
  *((f'block_b_{i}', _RESNET_BLOCK_B) for i in range(1, 11)),  # 14×14×1154
  ('reduction_b', inception_resnet.REDUCTION_B),  # 6×6×2146
  *((f'block_c_{i}', _RESNET_BLOCK_C) for i in range(1, 6)),  # 6×6×2048
)

CIFAR_INCEPTION_RESNET_V2 = Architecture(
  {'small': _STEM}, _RESNET_BODY, _CARD, **_PYTORCH
)

"""Inception-ResNet-v2 (Szegedy et al., arXiv:1602.07261).

Channels and scales are those of TF-slim's `inception_resnet_v2`, Keras and
timm, which differ from the paper's: 1088 and 2080 channels, not 1154 and 2048.
"""

from inception_jax.models.card import Card
from inception_jax.models.networks import inception_v3
from inception_jax.models.specs import AVG_POOL
from inception_jax.models.specs import DOWN
from inception_jax.models.specs import MAX_POOL_DOWN
from inception_jax.models.specs import Architecture
from inception_jax.models.specs import Residual
from inception_jax.models.specs import conv
from inception_jax.models.specs import mixed

BRANCHES_35 = mixed(
  conv(32), (conv(32), conv(32, 3)), (conv(32), conv(48, 3), conv(64, 3))
)
BRANCHES_17 = mixed(conv(192), (conv(128), conv(160, 1, 7), conv(192, 7, 1)))
BRANCHES_8 = mixed(conv(192), (conv(192), conv(224, 1, 3), conv(256, 3, 1)))
REDUCTION_B = mixed(
  (conv(256), conv(384, 3, **DOWN)),
  (conv(256), conv(288, 3, **DOWN)),
  (conv(256), conv(288, 3), conv(320, 3, **DOWN)),
  MAX_POOL_DOWN,
)
_BLOCK_35 = Residual(BRANCHES_35, scale=0.17)
_BLOCK_17 = Residual(BRANCHES_17, scale=0.10)
_BLOCK_8 = Residual(BRANCHES_8, scale=0.20)

_BODY = (
  (
    'mixed_5b',  # 35×35×320
    mixed(
      conv(96),
      (conv(48), conv(64, 5)),
      (conv(64), conv(96, 3), conv(96, 3)),
      (AVG_POOL, conv(64)),
    ),
  ),
  *((f'block35_{i}', _BLOCK_35) for i in range(1, 11)),  # 35×35×320
  (
    'mixed_6a',  # 17×17×1088
    mixed(
      conv(384, 3, **DOWN),
      (conv(256), conv(256, 3), conv(384, 3, **DOWN)),
      MAX_POOL_DOWN,
    ),
  ),
  *((f'block17_{i}', _BLOCK_17) for i in range(1, 21)),  # 17×17×1088
  ('mixed_7a', REDUCTION_B),  # 8×8×2080
  *((f'block8_{i}', _BLOCK_8) for i in range(1, 10)),  # 8×8×2080
  ('block8_10', Residual(BRANCHES_8, scale=1.0, relu=False)),  # 8×8×2080
  ('conv_7b', conv(1536)),  # 8×8×1536
)

INCEPTION_RESNET_V2 = Architecture(
  inception_v3.STEMS, _BODY, Card(), aux_after='block17_20'
)

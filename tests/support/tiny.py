"""Networks that compile in seconds; `-m tests.support.tiny` runs main.py."""

import runpy

from configs import digits
from inception_jax.models import architectures
from inception_jax.models import factory
from inception_jax.models import specs
from inception_jax.models.card import Card
from inception_jax.models.specs import conv
from inception_jax.models.specs import mixed
from tests.support.commands import ROOT

# Eight convolutions: every kind of stage once.
TINY = specs.Architecture(
  stems={
    'small': (
      ('conv_1a', conv(8, 3, **specs.DOWN)),
      ('conv_1b', conv(16, 3)),
    )
  },
  body=(
    (
      'mixed_2a',
      mixed(
        conv(8),
        (conv(8), mixed(conv(8, 1, 3), conv(8, 3, 1))),
        (specs.AVG_POOL, conv(8)),
      ),
    ),
    (
      'mixed_3a',
      mixed(conv(24, 3, **specs.DOWN), specs.MAX_POOL_DOWN),
    ),
  ),
  card=Card(),
  aux_after='mixed_2a',
)

# Three convolutions: between processes, each array takes time to all-reduce.
TINIEST = specs.Architecture(
  stems={'small': (('conv_1a', conv(8, 3, **specs.DOWN)),)},
  body=(('mixed_2a', mixed(conv(8), (specs.AVG_POOL, conv(8)))),),
  card=Card(),
)

_RESIDUAL = specs.Residual(mixed(conv(8), conv(8, 3)), scale=0.5)
TINY_RESIDUAL = specs.Architecture(
  stems={'small': (('conv_1a', conv(8, 3, **specs.DOWN)),)},
  body=(('block_1', _RESIDUAL), ('block_2', _RESIDUAL)),
  card=Card(),
)

architectures.ARCHITECTURES.update(
  tiny=TINY, tiniest=TINIEST, tiny_residual=TINY_RESIDUAL
)


def tiny_config():
  """Returns the digits recipe with TINY, and every feature switched on."""
  config = digits.get_config()
  config.model.name = 'tiny'
  config.model.width = 1.0
  config.model.dropout_rate = 0.2
  config.data.color_jitter = (0.2, 0.2, 0.2, 0.0)
  config.batch_size = 16
  config.schedule.warmup = '2 steps'
  return factory.resolve(config)


def tiniest_config():
  """Returns the same with TINIEST, for tests that need no deeper network."""
  config = tiny_config()
  config.model.update(name='tiniest', aux_head=False)
  return config


if __name__ == '__main__':
  runpy.run_path(str(ROOT / 'main.py'), run_name='__main__')

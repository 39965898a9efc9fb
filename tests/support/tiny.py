"""Networks that compile in seconds; `-m tests.support.tiny` runs main.py."""

import runpy

from inception_jax.models import architectures
from inception_jax.models import specs
from inception_jax.models.card import Card
from inception_jax.models.specs import conv
from inception_jax.models.specs import mixed
from tests.support.commands import ROOT

# Every kind of stage once, at the family's smallest.
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


# Where each array is one more to exchange, between processes on one CPU.
TINIEST = specs.Architecture(
  stems={'small': (('conv_1a', conv(8, 3, **specs.DOWN)),)},
  body=(('mixed_2a', mixed(conv(8), (specs.AVG_POOL, conv(8)))),),
  card=Card(),
)

architectures.ARCHITECTURES.update(tiny=TINY, tiniest=TINIEST)

if __name__ == '__main__':
  runpy.run_path(str(ROOT / 'main.py'), run_name='__main__')

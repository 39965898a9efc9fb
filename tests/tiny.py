"""Networks that compile in seconds, and main.py with them: -m tests.tiny."""

import runpy

from inception_jax import models
from inception_jax.models import tables
from inception_jax.models.card import Card
from inception_jax.models.tables import conv
from inception_jax.models.tables import mixed
from tests.commands import ROOT

# Every kind of stage once, at the family's smallest.
TINY = tables.Architecture(
  stems={
    'small': (
      ('conv_1a', conv(8, 3, **tables.DOWN)),
      ('conv_1b', conv(16, 3)),
    )
  },
  body=(
    (
      'mixed_2a',
      mixed(
        conv(8),
        (conv(8), mixed(conv(8, 1, 3), conv(8, 3, 1))),
        (tables.AVG_POOL, conv(8)),
      ),
    ),
    (
      'mixed_3a',
      mixed(conv(24, 3, **tables.DOWN), tables.MAX_POOL_DOWN),
    ),
  ),
  card=Card(),
  aux_after='mixed_2a',
)


# Where each array is one more to exchange, between processes on one CPU.
TINIEST = tables.Architecture(
  stems={'small': (('conv_1a', conv(8, 3, **tables.DOWN)),)},
  body=(('mixed_2a', mixed(conv(8), (tables.AVG_POOL, conv(8)))),),
  card=Card(),
)

models.ARCHITECTURES.update(tiny=TINY, tiniest=TINIEST)

if __name__ == '__main__':
  runpy.run_path(str(ROOT / 'main.py'), run_name='__main__')

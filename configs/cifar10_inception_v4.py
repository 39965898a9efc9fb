"""Inception-v4 with the small stem on CIFAR-10, at 32×32.

  python main.py --config=configs/cifar10_inception_v4.py --workdir=DIR \
      --config.data.dir=DATA   # DATA as in cifar10_inception_v3

The recipe of cifar10_inception_v3.py with Inception-v4 and its dropout rate.
Its accuracy has not been measured.
"""

from inception_jax.config import recipes


def get_config():
  config = recipes.get_config('cifar10_inception_v3')
  config.model.name = 'inception_v4'
  config.model.dropout_rate = 0.2
  return config

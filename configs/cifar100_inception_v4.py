"""weiaicunzai/pytorch-cifar100's Inception-v4 on CIFAR-100, at 32×32.

  python main.py --config=configs/cifar100_inception_v4.py --workdir=DIR \
      --config.data.dir=DATA   # DATA as in cifar100_inception_v3

The data and schedule of cifar100_inception_v3.py with the other network and its
dropout of 0.2. The PyTorch project reports 75.86 % top-1. This recipe has not
been run to the end.
"""

from inception_jax.config import recipes


def get_config():
  config = recipes.get_config('cifar100_inception_v3')
  config.model.name = 'cifar_inception_v4'
  config.model.dropout_rate = 0.2
  return config

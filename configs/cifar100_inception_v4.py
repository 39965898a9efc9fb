"""weiaicunzai/pytorch-cifar100's Inception-v4 on CIFAR-100, at 32×32.

  python main.py --config=configs/cifar100_inception_v4.py --workdir=DIR \
      --config.data.dir=DATA

The recipe of cifar100_inception_v3.py, data and schedule, with the other
network (75.86 % top-1 there). It has not been run to its end here.
"""

from configs import cifar100_inception_v3


def get_config():
  config = cifar100_inception_v3.get_config()
  config.model.name = 'cifar_inception_v4'
  return config

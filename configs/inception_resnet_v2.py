"""Inception-ResNet-v2 on ImageNet.

  python main.py --config=configs/inception_resnet_v2.py --workdir=DIR \
      --config.data.dir=DATA   # DATA as in inception_v4

The recipe of inception_v4.py with the other network. The paper reports 80.1 %
top-1 and 95.1 % top-5 for a single crop, with the learning rate × 0.94 every
two epochs. The accuracy of this variant has not been measured.
"""

from inception_jax.config import recipes


def get_config():
  config = recipes.get_config('inception_v4')
  config.model.name = 'inception_resnet_v2'
  return config

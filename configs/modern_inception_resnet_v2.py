"""Inception-ResNet-v2 on ImageNet with a recipe of 2021.

  python main.py --config=configs/modern_inception_resnet_v2.py --workdir=DIR \
      --config.data.dir=DATA   # DATA as in inception_v3

The recipe of modern_inception_v3.py, where its sources are, with stochastic
depth of 0.05, the sources' rate for resnet50, and in two parts of 1024 images,
so that eight devices need about 11 GB each. Not measured; timm's weights,
converted from TF-slim's, have 80.43 % top-1.
"""

from inception_jax.config import recipes


def get_config():
  config = recipes.get_config('modern_inception_v3')
  config.model.name = 'inception_resnet_v2'
  config.model.drop_path_rate = 0.05
  config.gradient_accumulation = 2
  return config

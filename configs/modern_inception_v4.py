"""Inception-v4 on ImageNet with a recipe of 2021.

  python main.py --config=configs/modern_inception_v4.py --workdir=DIR \
      --config.data.dir=DATA   # DATA as in inception_v3

The recipe of modern_inception_v3.py, where its sources are, in two parts of
1024 images, so that eight devices need about 8 GB each. Not measured; the
network's best published figure is 80.98 % top-1 (MindCV).
"""

from inception_jax.config import recipes


def get_config():
  config = recipes.get_config('modern_inception_v3')
  config.model.name = 'inception_v4'
  config.gradient_accumulation = 2
  return config

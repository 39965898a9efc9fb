"""Inception-v4 on ImageNet with MindSpore's Ascend recipe.

  python main.py --config=configs/mindspore_inception_v4_ascend.py \
      --workdir=DIR --config.data.dir=DATA   # DATA as in inception_v4

mindspore_inception_v4.py in float16 with a loss scale of 1024, as in
MindSpore's default_config.yaml. MindSpore reports 79.85 % top-1 and 94.60 %
top-5, at 4,430 images/s on eight accelerators.

Differences: those of mindspore_inception_v4.py; weights, BatchNorm and loss are
float32, which MindSpore's O3 casts to float16; an update that overflows is
skipped. This recipe has not been run to the end.
"""

from inception_jax.config import recipes


def get_config():
  config = recipes.get_config('mindspore_inception_v4')
  config.precision = 'float16'
  config.loss_scale = 1024.0
  return config

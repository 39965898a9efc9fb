"""Inception-v3 on ImageNet with MindSpore's Ascend recipe.

  python main.py --config=configs/mindspore_inception_v3_ascend.py \
      --workdir=DIR --config.data.dir=DATA   # DATA as in inception_v4

mindspore_inception_v3.py with the differences of MindSpore's
default_config.yaml: float16 with a loss scale of 1024, dropout 0.2, and
Xavier's initialization of all kernels. Where the hardware has bfloat16, prefer
it: it needs no loss scale. MindSpore reports 78.8 % top-1 and 94.2 % top-5 on
eight accelerators, at 9,500 images/s.

Differences: those of mindspore_inception_v3.py; weights, BatchNorm and loss are
float32, which MindSpore's O3 casts to float16; an update that overflows is
skipped. This recipe has not been run to the end.
"""

from inception_jax.config import recipes


def get_config():
  config = recipes.get_config('mindspore_inception_v3')
  config.model.dropout_rate = 0.2
  config.precision = 'float16'
  config.loss_scale = 1024.0
  return config

"""Inception-v3 on ImageNet with MindCV's recipe.

  python main.py --config=configs/mindcv_inception_v3.py --workdir=DIR \
      --config.data.dir=DATA   # DATA as in inception_v4

The recipe of MindCV (configs/inceptionv3/inception_v3_ascend.yaml), which is
that of mindcv_inception_v4.py with an auxiliary head of weight 0.1, in float32.
MindCV reports 79.25 % top-1 and 94.47 % top-5, at 3,486 images/s on eight
accelerators.

Differences: those of mindcv_inception_v4.py, but for the precision:
TensorFloat-32 in place of float32. This recipe has not been run to the end.
"""

from inception_jax.config import recipes


def get_config():
  config = recipes.get_config('mindcv_inception_v4')
  config.model.name = 'inception_v3'
  config.model.aux_head = True
  config.aux_loss_weight = 0.1
  config.precision = 'tensorfloat32'
  return config

"""Inception-v3 on ImageNet, as MindSpore's models train it on Ascend.

  python main.py --config=configs/mindspore_inception_v3_ascend.py \
      --workdir=DIR \
      --config.data.dir=DATA

mindspore_inception_v3.py with what default_config.yaml there has otherwise:
float16 with a loss scale of 1024, dropout 0.2. bfloat16, which needs no loss
scale, is the better choice where the hardware has it. It has not been run to
its end here.
"""

from configs import mindspore_inception_v3


def get_config():
  config = mindspore_inception_v3.get_config()
  config.model.dropout_rate = 0.2
  config.precision = 'float16'
  config.loss_scale = 1024.0
  return config

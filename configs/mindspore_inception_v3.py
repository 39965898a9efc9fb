"""Inception-v3 on ImageNet with MindSpore's GPU recipe.

  python main.py --config=configs/mindspore_inception_v3.py --workdir=DIR \
      --config.data.dir=DATA   # DATA as in inception_v4

The recipe of mindspore-ai/models, inceptionv3/default_config_gpu.yaml, which
has the data and the schedule of inception_v4.py: a batch of 128 on each of
eight devices, RMSProp, 250 epochs with one epoch of warm-up and a cosine
schedule, an auxiliary head without BatchNorm, dropout 0.5, label smoothing.
Weight decay applies to all parameters: train.py puts biases and BatchNorm's
parameters into a group without a decay of its own, which gets the optimizer's.
MindSpore reports 78.8 % top-1 and 94.2 % top-5 on eight Ascend accelerators,
with mindspore_inception_v3_ascend.py. A run on four GPUs, stopped after 108
epochs, had 48.47 % and 74.05 %, at 447 images/s.

Differences: TensorFloat-32 in place of float32; BatchNorm's statistics are of
the whole batch, not of a device's 128 images
(--config.batch_norm='128 images'); no biases before BatchNorm, which cancels
them; the warm-up's rates come a step later; brightness, contrast and saturation
are adjusted in this order, not a random one; all kernels are Xavier's, of which
MindSpore leaves the dense layers and the auxiliary convolutions to its
defaults. This recipe has not been run to the end.
"""

from inception_jax.config import defaults
from inception_jax.config import recipes


def get_config():
  config = recipes.get_config('inception_v4')
  config.model = defaults.get_config().model
  config.model.aux_head = True
  config.model.aux_batch_norm = False
  config.model.dropout_rate = 0.5
  config.model.kernel_init = 'xavier_uniform'
  # MindSpore's 0.1 goes to the 999 other classes, not to all 1000.
  config.label_smoothing = 0.1 * 1000 / 999
  config.aux_loss_weight = 0.2

  config.data.interpolation = 'opencv_bilinear'
  config.data.eval_crop_mode = 'mindspore_short_side'
  config.data.eval_crop_fraction = 1.0
  config.data.mean = (123.675, 116.28, 103.53)
  config.data.std = (58.395, 57.12, 57.375)

  config.optimizer.decay_on = ('*',)
  config.ema_decay = 0.0
  config.precision = 'tensorfloat32'
  return config

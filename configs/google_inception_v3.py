"""Inception-v3 on ImageNet with Google's TPU recipe.

  python main.py --config=configs/google_inception_v3.py --workdir=DIR \
      --config.data.dir=DATA   # DATA as in inception_v3

The recipe of tensorflow/tpu (models/experimental/inception): batch size 1024,
RMSProp, learning rate × 0.94 every three epochs without a warm-up, a moving
average of the weights, the auxiliary head, weight decay on kernels,
TensorFlow's random crops, distort_color_fast. It reports over 78.1 % top-1 in
170 epochs.

Differences: bfloat16 in place of float32; BatchNorm has a scale γ, and
statistics of the whole batch, not of a device's 128 images
(--config.batch_norm='128 images'); logits start from Glorot's distribution, not
He's. This recipe has not been run to the end.
"""

from inception_jax.config import recipes


def get_config():
  config = recipes.get_config('inception_v3')
  config.data.interpolation = 'tf1_bilinear'
  config.data.eval_crop_mode = 'tf_central'

  config.schedule.name = 'exponential'
  config.schedule.warmup = '0 steps'
  config.schedule.decay_every = '3 epochs'
  config.schedule.end_learning_rate = 0.165e-4
  return config

"""Inception-v3 on ImageNet.

  python -m inception_jax.tools.prepare --source=tfds:imagenet2012 \
      --data_dir=DATA   # once, from the two archives in DATA/downloads/manual
  python main.py --config=configs/inception_v3.py --workdir=DIR \
      --config.data.dir=DATA

Based on Google's TPU recipe: batch size 1024, RMSProp, weight decay 4e-5 on
kernels, label smoothing, auxiliary loss, a moving average of the weights.
Google reports over 78.1 % top-1 in 170 epochs. Differences: a cosine schedule
with seven epochs of warm-up in place of the staircase without one; bfloat16;
the others of google_inception_v3.py. The accuracy of this variant has not been
measured.
"""

from inception_jax.config import defaults


def get_config():
  config = defaults.get_config()
  config.model.name = 'inception_v3'
  config.model.aux_head = True
  config.model.bn_momentum = 0.996

  config.data.source = 'tfds:imagenet2012'
  config.data.eval_split = 'validation'
  config.data.train_crop = 'tensorflow'
  config.data.crop_area = (0.05, 1.0)
  config.data.color_distortion = 'tpu'

  config.batch_size = 1024
  config.train_for = '170 epochs'

  config.schedule.learning_rate = 0.165
  config.schedule.batch_size = 256
  config.schedule.warmup = '7 epochs'
  config.ema_decay = 0.995
  config.precision = 'bfloat16'
  return config

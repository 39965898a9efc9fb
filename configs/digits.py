"""Inception-v3 on scikit-learn's 1,797 handwritten digits; needs no download.

  make train
  python main.py --config=configs/digits.py --workdir=runs/digits

A network of a quarter of the width on 16×16 images, for a CPU.
"""

from inception_jax.config import defaults


def get_config():
  config = defaults.get_config()
  config.model.width = 0.25
  config.model.stem = 'small'
  config.model.aux_head = True
  config.model.bn_momentum = 0.9

  config.data.image_size = 16
  config.data.crop_area = (0.7, 1.0)
  config.data.crop_ratio = (0.85, 1.18)
  config.data.pad = 2
  config.data.flip = False  # a mirrored digit is a different digit or none
  config.data.eval_crop_fraction = 1.0

  config.batch_size = 32
  config.train_for = '20 epochs'
  config.log_every = '1 epoch'

  config.schedule.learning_rate = 0.05
  config.schedule.warmup = '1 epoch'
  config.weight_decay = 1e-3  # high, because there are few images
  config.ema_decay = 0.99
  return config

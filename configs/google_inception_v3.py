"""Inception-v3 on ImageNet, as Google trains it on TPUs.

  python -m inception_jax.tools.prepare --source=tfds:imagenet2012 \
      --data_dir=DATA   # once, from the two archives in DATA/downloads/manual
  python main.py --config=configs/google_inception_v3.py --workdir=DIR \
      --config.data.dir=DATA

The recipe of tensorflow/tpu (models/experimental/inception): batches of 1024,
RMSProp, × 0.94 every three epochs, averaged weights, the auxiliary head, decay
of kernels (over 78.1 % top-1 in 170 epochs there). It has not been run to its
end here.
"""

from configs import default


def get_config():
  config = default.get_config()
  config.model.name = 'inception_v3'
  config.model.aux_head = True
  config.model.bn_momentum = 0.996

  config.data.source = 'tfds:imagenet2012'
  config.data.eval_split = 'validation'
  config.data.crop_area = (0.05, 1.0)
  config.data.brightness_shift = 32 / 255
  config.data.color_jitter = (0.0, 0.0, 0.5, 0.0)

  config.batch_size = 1024
  config.train_for = '170 epochs'

  config.schedule.name = 'exponential'
  config.schedule.learning_rate = 0.165
  config.schedule.batch_size = 256
  config.schedule.warmup = '0 steps'
  config.schedule.decay_every = '3 epochs'
  config.schedule.end_learning_rate = 0.165e-4
  config.ema_decay = 0.995
  config.precision = 'bfloat16'
  return config

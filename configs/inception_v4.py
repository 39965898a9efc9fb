"""Inception-v4 on ImageNet.

  python -m inception_jax.tools.prepare --source=tfds:imagenet2012 \
      --data_dir=DATA   # once, from the two archives in DATA/downloads/manual
  python main.py --config=configs/inception_v4.py --workdir=DIR \
      --config.data.dir=DATA

Based on MindSpore's recipe: batch size 1024, RMSProp, 250 epochs with one epoch
of warm-up and a cosine schedule, random resized crops, color jitter. MindSpore
reports 80.09 % top-1 and 94.57 % top-5. Differences: no BatchNorm on features
and logits, BatchNorm ε 1e-3 and dropout 0.2, as in the paper; label smoothing
is applied; a moving average of the weights; weight decay on kernels only; He
initialization; inputs in [−1, 1]; evaluation on the central 87.5 %; bfloat16;
BatchNorm statistics of the whole batch. The accuracy of this variant has not
been measured.
"""

from inception_jax.config import defaults


def get_config():
  config = defaults.get_config()
  config.model.name = 'inception_v4'
  config.model.bn_momentum = 0.997

  config.data.source = 'tfds:imagenet2012'
  config.data.eval_split = 'validation'
  config.data.color_jitter = (0.4, 0.4, 0.4, 0.0)

  config.batch_size = 1024
  config.train_for = '250 epochs'

  config.schedule.learning_rate = 0.4
  config.schedule.batch_size = 1024
  config.schedule.warmup = '1 epoch'
  config.schedule.init_learning_rate = 4e-5
  config.schedule.end_learning_rate = 4e-6
  config.ema_decay = 0.995
  config.precision = 'bfloat16'
  return config

"""Inception-v3 with the small stem on CIFAR-10, at 32×32.

  python -m inception_jax.tools.prepare --source=tfds:cifar10 \
      --data_dir=DATA   # once
  python main.py --config=configs/cifar10_inception_v3.py --workdir=DIR \
      --config.data.dir=DATA

SGD with momentum. Learning rate, batch size, weight decay and number of epochs
are those of weiaicunzai/pytorch-cifar100, with a cosine schedule to 0 in place
of the steps, and weight decay on kernels only. --config.train_for='50 epochs'
is a short version. The accuracy of this variant has not been measured; a
related PyTorch project reports 94.18 % top-1 in 50 epochs.
"""

from inception_jax.config import defaults


def get_config():
  config = defaults.get_config()
  config.model.name = 'inception_v3'
  config.model.stem = 'small'
  config.model.dropout_rate = 0.5
  config.model.bn_momentum = 0.9

  config.data.source = 'tfds:cifar10'
  config.data.image_size = 32
  config.data.train_crop = 'none'
  config.data.pad = 4
  config.data.eval_crop_fraction = 1.0

  config.batch_size = 128
  config.train_for = '200 epochs'

  config.optimizer.name = 'sgd'
  config.schedule.learning_rate = 0.1
  config.schedule.batch_size = 128
  config.schedule.warmup = '1 epoch'
  config.label_smoothing = 0.0
  config.weight_decay = 5e-4
  config.precision = 'bfloat16'
  return config

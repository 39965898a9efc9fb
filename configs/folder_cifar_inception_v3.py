"""Inception-v3 of the 32×32 family on a folder of small images, on a CPU.

  python main.py --config=configs/folder_cifar_inception_v3.py \
      --workdir=DIR --config.data.dir=IMAGES

Images of any size are in IMAGES/train/CLASS/… and IMAGES/val/CLASS/…; they are
resized to 32×32, or to --config.data.image_size. SGD with momentum, a short
warm-up, a cosine schedule, full width and float32.

At 28×28 it trains at 7 images/s on two cores of an Intel Xeon: two epochs of
5,000 images take half an hour. On Fashion-MNIST they reach a top-1 of 0.72 on
2,000 images (mean of three seeds, make learning; PyTorch: 0.70).
"""

from inception_jax.config import defaults


def get_config():
  config = defaults.get_config()
  config.model.name = 'cifar_inception_v3'
  config.model.bn_momentum = 0.9

  config.data.source = 'folder'
  config.data.eval_split = 'val'
  config.data.train_crop = 'none'
  config.data.pad = 2

  config.batch_size = 32
  config.train_for = '2 epochs'
  config.log_every = '10 steps'

  config.optimizer.name = 'sgd'
  config.schedule.learning_rate = 0.05
  config.schedule.batch_size = 32
  config.schedule.warmup = '10 percent'
  config.label_smoothing = 0.0
  config.weight_decay = 5e-4
  return config

"""Inception-v3 of the 32×32 family on CIFAR-10, in two hours on two cores.

  python main.py --config=configs/cifar10_cpu_inception_v3.py --workdir=DIR \
      --config.data.dir=IMAGES

IMAGES/train/CLASS/… and IMAGES/test/CLASS/… are CIFAR-10's images as files. To
read the authors' archive instead: --config.data.source=cifar
--config.data.dir=cifar-10-python.tar.gz.

The network of cifar10_pytorch_inception_v3.py at a quarter of its width, which
has 1/16 of the multiplications. SGD with Nesterov momentum and one cycle of the
learning rate, which reaches a given accuracy in the fewest epochs.

Top-1 82.78 % on two cores of an AMD EPYC (benchmarks/cifar10.md), of images
that went once through JPEG compression.
"""

from inception_jax.config import defaults


def get_config():
  config = defaults.get_config()
  config.model.name = 'cifar_inception_v3'
  config.model.width = 0.25
  config.model.dropout_rate = 0.0
  config.model.bn_momentum = 0.9

  config.data.source = 'folder'
  config.data.train_crop = 'none'
  config.data.pad = 4

  config.batch_size = 128
  config.train_for = '6 epochs'
  config.log_every = '39 steps'  # ten times an epoch

  config.optimizer.name = 'sgd'
  config.optimizer.nesterov = True
  config.schedule.name = 'one_cycle'
  config.schedule.learning_rate = 0.2
  config.schedule.batch_size = 128
  config.schedule.warmup = '25 percent'
  config.schedule.init_learning_rate = 0.01
  config.label_smoothing = 0.0
  config.weight_decay = 5e-4
  return config

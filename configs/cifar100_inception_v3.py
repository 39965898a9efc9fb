"""weiaicunzai/pytorch-cifar100's Inception-v3 on CIFAR-100, at 32×32.

  python -m inception_jax.tools.prepare --source=tfds:cifar100 \
      --data_dir=DATA   # once
  python main.py --config=configs/cifar100_inception_v3.py --workdir=DIR \
      --config.data.dir=DATA

To read the authors' archive instead: --config.data.source=cifar
--config.data.dir=cifar-100-python.tar.gz.

The PyTorch project's recipe: SGD with momentum, a rate that rises from 0 during
the first epoch and is × 0.2 from the start of the epochs 60, 120 and 160 of
200, weight decay on all parameters, random shift, flip and rotation, dropout
0.5, PyTorch's initialization. The project reports 77.19 % top-1, of the best
checkpoint on the test set.

Differences: images are rotated about their center with bilinear interpolation,
not nearest neighbor; an epoch is 390.6 batches of 128, not 391, the last of 80.
This recipe has not been run to the end.
"""

from inception_jax.config import defaults


def get_config():
  config = defaults.get_config()
  config.model.name = 'cifar_inception_v3'
  config.model.dropout_rate = 0.5
  config.model.bn_momentum = 0.9
  config.model.kernel_init = 'pytorch'

  config.data.source = 'tfds:cifar100'
  config.data.train_crop = 'none'
  config.data.pad = 4
  config.data.rotate = 15.0

  config.batch_size = 128
  config.train_for = '200 epochs'

  config.optimizer.name = 'sgd'
  config.optimizer.decay_on = ('*',)
  config.schedule.name = 'multi_step'
  config.schedule.learning_rate = 0.1
  config.schedule.batch_size = 128
  config.schedule.warmup = '1 epoch'
  config.schedule.decay_rate = 0.2
  # The project's epoch 60 has the lower rate already, and 59 precede it.
  config.schedule.milestones = ('59 epochs', '119 epochs', '159 epochs')
  config.label_smoothing = 0.0
  config.weight_decay = 5e-4
  config.precision = 'tensorfloat32'
  return config

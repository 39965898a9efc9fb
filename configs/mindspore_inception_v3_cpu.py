"""Inception-v3 on CIFAR-10 resized to 299×299, with MindSpore's CPU recipe.

  python main.py --config=configs/mindspore_inception_v3_cpu.py --workdir=DIR \
      --config.data.dir=DATA   # DATA as in cifar10_inception_v3

mindspore_inception_v3.py with the differences of MindSpore's
default_config_cpu.yaml: CIFAR-10, 120 epochs, learning rate 0.1 for a batch of
128, dropout 0.2. --config.data.source=tfds:cifar100 selects CIFAR-100.

Differences: those of mindspore_inception_v3.py, but for the batch, which is on
one device; images are shifted by up to 4 of their 32 pixels after the resize,
not before; the gradient is not divided by 1024, as it is there without a loss
that was multiplied. This recipe has not been run to the end; on two CPU cores
an epoch would take hours, so use an accelerator.
"""

from inception_jax.config import recipes


def get_config():
  config = recipes.get_config('mindspore_inception_v3')
  config.model.dropout_rate = 0.2
  config.label_smoothing = 0.1 * 10 / 9

  config.data.source = 'tfds:cifar10'
  config.data.eval_split = 'test'
  config.data.train_crop = 'none'
  config.data.pad = 37
  config.data.color_jitter = (0.0, 0.0, 0.0, 0.0)
  config.data.mean = (125.307, 122.961, 113.8575)
  config.data.std = (51.5865, 50.847, 51.255)

  config.batch_size = 128
  config.train_for = '120 epochs'
  config.schedule.learning_rate = 0.1
  config.schedule.batch_size = 128
  return config

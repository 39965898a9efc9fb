"""Inception-v4 on CIFAR-10 resized to 299×299, with MindSpore's CPU recipe.

  python main.py --config=configs/mindspore_inception_v4_cpu.py --workdir=DIR \
      --config.data.dir=DATA   # DATA as in cifar10_inception_v3

The data of mindspore_inception_v3_cpu.py; the network, the number of epochs and
the learning rate of mindspore_inception_v4.py, for a batch of 128, as in
MindSpore's CPU config of Inception-v4.

Differences: those of mindspore_inception_v4.py, but for the batch, which is on
one device; images are shifted after the resize; that config sets ten classes,
but names ImageNet, where MindSpore's README writes CIFAR-10. This recipe has
not been run to the end.
"""

from inception_jax.config import recipes


def get_config():
  config = recipes.get_config('mindspore_inception_v4')
  config.data = recipes.get_config('mindspore_inception_v3_cpu').data
  config.batch_size = 128
  config.schedule.batch_size = 128
  return config

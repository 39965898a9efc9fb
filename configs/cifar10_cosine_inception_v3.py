"""weiaicunzai's Inception-v3 on CIFAR-10, with a rate that falls to 0.

  python main.py --config=configs/cifar10_cosine_inception_v3.py \
      --workdir=DIR --config.data.dir=DATA   # DATA as in cifar10_inception_v3

The recipe of cifar100_inception_v3.py on CIFAR-10, with a cosine schedule in
place of the steps, in bfloat16. --config.train_for='50 epochs' is a short
version, for a GPU. The accuracy has not been measured; with steps that end at
0.02, a PyTorch project reports 94.18 % top-1 in 50 epochs.
"""

from inception_jax.config import recipes


def get_config():
  config = recipes.get_config('cifar100_inception_v3')
  config.data.source = 'tfds:cifar10'
  config.schedule.name = 'cosine'
  config.schedule.milestones = ()
  config.precision = 'bfloat16'
  return config

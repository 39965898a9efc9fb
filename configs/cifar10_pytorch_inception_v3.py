"""weiaicunzai's Inception-v3 on CIFAR-10, in 50 epochs.

  python main.py --config=configs/cifar10_pytorch_inception_v3.py \
      --workdir=DIR --config.data.dir=DATA   # DATA as in cifar10_inception_v3

The recipe of cifar100_inception_v3.py as a PyTorch project shortens it for
CIFAR-10: 50 epochs, learning rate × 0.2 from epoch 30 on. Its milestones are
30, 60 and 80, so that the rate is 0.1 and then 0.02: it never anneals.
cifar10_cosine_inception_v3.py does. The project reports 94.18 % top-1 on one
GPU. Neither that figure nor the milestones could be verified in a public
source. This recipe has not been run to the end.
"""

from inception_jax.config import recipes


def get_config():
  config = recipes.get_config('cifar100_inception_v3')
  config.data.source = 'tfds:cifar10'
  config.train_for = '50 epochs'
  config.schedule.milestones = ('29 epochs', '59 epochs', '79 epochs')
  return config

"""weiaicunzai's Inception-v3 on CIFAR-10, in 50 epochs.

  python main.py --config=configs/cifar10_pytorch_inception_v3.py \
      --workdir=DIR --config.data.dir=DATA   # DATA as in cifar10_inception_v3

The recipe of cifar100_inception_v3.py as a PyTorch project shortens it for
CIFAR-10: 50 epochs, learning rate × 0.2 after epoch 30. The milestones at 60
and 80 are that project's too, but lie beyond the end. The project reports
94.18 % top-1 on one GPU. This recipe has not been run to the end.
"""

from configs import cifar100_inception_v3


def get_config():
  config = cifar100_inception_v3.get_config()
  config.data.source = 'tfds:cifar10'
  config.train_for = '50 epochs'
  config.schedule.milestones = ('30 epochs', '60 epochs', '80 epochs')
  return config

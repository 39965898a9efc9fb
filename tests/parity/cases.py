"""What is compared with what, and how closely; needs the standard library."""

import dataclasses

NUM_CLASSES = 7
LOGITS = 1e-4  # |difference| over the largest |logit|
GRADIENTS = 1e-3  # norm of the difference over the gradient's norm
AUX_LOSS_WEIGHT = 0.4
# Where the world's evaluations run, and another. At the other the last grids
# are 4×4, enough positions for batch statistics to be well conditioned.
FULL, OTHER = 299, 171
# Of the trainings that are compared (training.py).
STEPS = 30
RATES = {'sgd': 1e-4, 'rmsprop': 1e-4}
WEIGHT_DECAY = 4e-5
SMOOTHING = 0.1


def training_batch(size: int) -> int:
  """Images a step, by their size."""
  return 4 if size == FULL else 16


@dataclasses.dataclass(frozen=True)
class Case:
  """A network of a framework.

  Attributes:
    source: the framework.
    network: our name of it.
    suffix: of the weight file that it writes.
    aux_head: whether to compare that, too, at 299.
    batch: images.
    sizes: of the images, live.
    golden: of the images in the golden file.
    clone: the repository, where the network is in no package.
    exports: whether `tools.export` writes a file for it.
  """

  source: str
  network: str
  suffix: str
  aux_head: bool = False
  batch: int = 4
  sizes: tuple[int, ...] = (FULL, OTHER)
  golden: int = OTHER
  clone: str = ''
  exports: bool = False

  @property
  def name(self) -> str:
    """'timm-inception_v3'."""
    return f'{self.source}-{self.network}'


_V3, _V4, _RESNET = 'inception_v3', 'inception_v4', 'inception_resnet_v2'
_TIMM = {'suffix': '.safetensors', 'exports': True}
_MINDCV = {'suffix': '.ckpt', 'exports': True}
_SLIM = {'suffix': '.ckpt', 'aux_head': True}
_CIFAR = {
  'suffix': '.pth',
  'sizes': (32, 40),
  'golden': 32,
  'clone': 'weiaicunzai/pytorch-cifar100',
}
_MINDSPORE = {'suffix': '.ckpt', 'clone': 'mindspore-ai/models'}
CASES = (
  Case('timm', _V3, **_TIMM, aux_head=True),
  Case('timm', _V4, **_TIMM),
  Case('timm', _RESNET, **_TIMM),
  Case('torchvision', _V3, '.pth', aux_head=True),
  Case('keras', _V3, '.weights.h5'),
  Case('keras', _RESNET, '.keras'),
  Case('mindcv', _V3, **_MINDCV, aux_head=True),
  Case('mindcv', _V4, **_MINDCV),
  Case('slim', _V3, **_SLIM),
  Case('slim', _V4, **_SLIM),
  Case('slim', _RESNET, **_SLIM),
  Case('weiaicunzai', 'cifar_inception_v3', **_CIFAR),
  Case('weiaicunzai', 'cifar_inception_v4', **_CIFAR),
  Case('weiaicunzai', 'cifar_inception_resnet_v2', **_CIFAR),
  # It pools 8×8 whatever the grid.
  Case(
    'mindspore', _V3, **_MINDSPORE, aux_head=True, sizes=(FULL,), golden=FULL
  ),
  Case('mindspore', _V4, **_MINDSPORE),
)


def named(name: str) -> Case:
  """The case called 'timm-inception_v3', for one."""
  (case,) = [case for case in CASES if case.name == name]
  return case

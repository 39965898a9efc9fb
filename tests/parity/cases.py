"""The compared networks and their bounds; imports the standard library only."""

import dataclasses

NUM_CLASSES = 7
# Bounds: the largest |difference| of logits over the largest |logit|; the norm
# of the gradients' difference over the gradient's norm.
LOGITS = 1e-4
GRADIENTS = 1e-3
AUX_LOSS_WEIGHT = 0.4
# Image sizes: the usual one, and one whose last feature maps are 4×4, enough
# positions for well-conditioned batch statistics.
FULL, OTHER = 299, 171
# Hyperparameters of training.py.
STEPS = 30
RATES = {'sgd': 1e-4, 'rmsprop': 1e-4}
WEIGHT_DECAY = 4e-5
SMOOTHING = 0.1


def training_batch(size: int) -> int:
  """Returns the batch size of training.py for images of a size."""
  return 4 if size == FULL else 16


@dataclasses.dataclass(frozen=True)
class Case:
  """A network of a framework.

  Attributes:
    source: the framework or package.
    network: the network's name in inception_jax.
    suffix: of the weight file that the framework writes.
    aux_head: whether to compare the auxiliary head too, at size 299.
    batch: number of images.
    sizes: of the images when the framework runs.
    golden: size of the images of the golden file.
    clone: GitHub repository, for networks that no package contains.
    exports: whether `tools.export` writes a file for the framework.
    mindir: whether to compare the network as MINDIR with the golden file.
    classes: number of outputs.
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
  mindir: bool = False
  classes: int = NUM_CLASSES

  @property
  def name(self) -> str:
    """The name of the case, such as 'timm-inception_v3'."""
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
  'mindir': True,
}
_MINDSPORE = {
  'suffix': '.ckpt',
  'clone': 'mindspore-ai/models',
  'mindir': True,
}
CASES = (
  Case('timm', _V3, **_TIMM, aux_head=True),
  Case('timm', _V4, **_TIMM),
  Case('timm', _RESNET, **_TIMM, mindir=True),
  Case('torchvision', _V3, '.pth', aux_head=True),
  Case('pytorch-fid', 'fid_inception_v3', '.pth', mindir=True, classes=1008),
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
  # Its last pooling window is 8×8 at any image size.
  Case(
    'mindspore', _V3, **_MINDSPORE, aux_head=True, sizes=(FULL,), golden=FULL
  ),
  Case('mindspore', _V4, **_MINDSPORE),
)


def named(name: str) -> Case:
  """Returns the case with this name."""
  (case,) = [case for case in CASES if case.name == name]
  return case

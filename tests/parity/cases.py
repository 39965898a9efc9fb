"""What is compared with what, and how closely; needs the standard library."""

import dataclasses

NUM_CLASSES = 7
LOGITS = 1e-4  # |difference| over the largest |logit|
GRADIENTS = 1e-3  # |difference of a projection| over the gradient's norm
# Where the world's evaluations run, and another.
FULL, OTHER = 299, 171
# The last grid is then 3×3 and 4×4: few enough for a test, and enough
# positions for batch statistics to be well conditioned.
SMALL = {'imagenet': 139, 'cifar': 32}
BATCH = 4


@dataclasses.dataclass(frozen=True)
class Case:
  """A network of a framework.

  Attributes:
    source: the framework.
    network: our name of it.
    suffix: of the weight file that it writes.
    aux_head: whether to compare that, too, at 299.
    sizes: of the images, live.
    golden: of the images in the golden file.
  """

  source: str
  network: str
  suffix: str
  aux_head: bool = False
  sizes: tuple[int, ...] = (FULL, OTHER)
  golden: int = SMALL['imagenet']

  @property
  def name(self) -> str:
    """'timm-inception_v3'."""
    return f'{self.source}-{self.network}'


_CIFAR = {'sizes': (32, 40), 'golden': SMALL['cifar']}
CASES = (
  Case('timm', 'inception_v3', '.safetensors', aux_head=True),
  Case('timm', 'inception_v4', '.safetensors'),
  Case('timm', 'inception_resnet_v2', '.safetensors'),
  Case('torchvision', 'inception_v3', '.pth', aux_head=True),
  Case('keras', 'inception_v3', '.weights.h5'),
  Case('keras', 'inception_resnet_v2', '.keras'),
  Case('mindcv', 'inception_v3', '.ckpt', aux_head=True),
  Case('mindcv', 'inception_v4', '.ckpt'),
  # Not packages: the generator takes the path of a clone.
  Case('slim', 'inception_v3', '.ckpt', aux_head=True),
  Case('slim', 'inception_v4', '.ckpt', aux_head=True),
  Case('slim', 'inception_resnet_v2', '.ckpt', aux_head=True),
  Case('weiaicunzai', 'cifar_inception_v3', '.pth', **_CIFAR),
  Case('weiaicunzai', 'cifar_inception_v4', '.pth', **_CIFAR),
  Case('weiaicunzai', 'cifar_inception_resnet_v2', '.pth', **_CIFAR),
  Case('mindspore', 'inception_v3', '.ckpt', aux_head=True, sizes=(FULL,)),
  Case('mindspore', 'inception_v4', '.ckpt'),
)
FULL_ONLY = ('mindspore-inception_v3',)  # it pools 8×8 whatever the grid

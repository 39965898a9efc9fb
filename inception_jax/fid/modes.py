"""How the packages of the FID prepare an image for the network of 2015.

Published distances are of one of these, and differ between them by more than
networks that are compared do. Each has its package's resizing and range; all
have the whole image resized to the network's input.
"""

from collections.abc import Callable
import dataclasses
from typing import Any

from inception_jax.data import decode
from inception_jax.data import unrounded
from inception_jax.data.lazy import tf


@dataclasses.dataclass(frozen=True)
class Mode:
  """A way of preparing images.

  Attributes:
    resize: uint8 [H, W, 3], S → float32 [S, S, 3].
    normalize: the network's input of these pixels, in −1…1.
    package: whose distances these are.
    mixes_sizes: whether that package also takes images of different sizes.
  """

  resize: Callable[[Any, int], Any]
  normalize: Callable[[Any], Any]
  package: str
  mixes_sizes: bool


def _centered(pixels):
  return (pixels - 128) / 128


MODES = {
  # TTUR's graph, its nodes ResizeBilinear, Sub and Mul; torch-fidelity's
  # feature_extractor_inceptionv3.py.
  'legacy_tensorflow': Mode(
    unrounded.tf1_bilinear, _centered, 'torch-fidelity', False
  ),
  # pytorch_fid/fid_score.py and inception.py.
  'legacy_pytorch': Mode(
    unrounded.torch_bilinear, lambda x: 2 * x - 1, 'pytorch-fid', False
  ),
  # cleanfid/resize.py and inception_torchscript.py.
  'clean': Mode(unrounded.pillow_bicubic, _centered, 'clean-fid', True),
}
DEFAULT = 'clean'


def prepare(name: str, image, data) -> dict[str, Any]:
  """Prepares an image in TensorFlow's graph.

  Grey becomes RGB, alpha is dropped and the EXIF orientation ignored, as in
  Pillow's `convert('RGB')`, with which all three packages read.

  Args:
    name: of the mode.
    image: undecoded, as in a record.
    data: `config.data` of three channels; `image_size` is S.

  Returns:
    {'image': float32 [S, S, 3], the network's input; 'size': int32 [2], the
    height and width before}.
  """
  mode, whole = MODES[name], decode.whole_image(image, data)
  pixels = mode.normalize(mode.resize(whole, data.image_size))
  return {'image': pixels, 'size': tf.shape(whole)[:2]}

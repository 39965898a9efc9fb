"""The policies of torchvision, timm and MindCV, for reference_policies.py."""

import math
import random
import re

from PIL import Image

MEAN = (124, 116, 104)  # the fill color, as the packages round it
_BLENDS = ('brightness', 'color', 'contrast', 'sharpness')
PLAIN = ('autocontrast', 'equalize', 'invert', 'identity')


def snake(name: str) -> str:
  """'TranslateXRel' → 'translate_x', as in `image_ops`."""
  name = re.sub('Original|Increasing|Rel$', '', name)
  name = name.replace('AutoContrast', 'Autocontrast')
  return re.sub('(?<=[a-z])(?=[A-Z])', '_', name).lower()


class Torchvision:
  """Policies are called on PIL images, with bilinear interpolation."""

  def __init__(self, shape):
    import torch
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms import autoaugment

    torch.manual_seed(0)
    self.module, self.shape = autoaugment, shape
    self.bilinear = InterpolationMode.BILINEAR
    of = autoaugment.AutoAugmentPolicy
    imagenet = autoaugment.AutoAugment(of.IMAGENET)
    cifar10 = autoaugment.AutoAugment(of.CIFAR10)
    rand = autoaugment.RandAugment()
    # Policy → (transform, number of magnitudes, what to cite).
    self.policies = {
      'autoaugment': (imagenet, 10, imagenet._get_policies),
      'autoaugment_cifar10': (cifar10, 10, cifar10._get_policies),
      'randaugment': (rand, 31, autoaugment.RandAugment._augmentation_space),
    }
    self.apply = autoaugment._apply_op

  def pairs(self, transform):
    if not hasattr(transform, 'policies'):
      return None
    return [
      [(snake(n), p, m or 0) for n, p, m in pair] for pair in transform.policies
    ]

  def operations(self, transform, count: int):
    """Yields (operation, magnitude → arguments, function) for each.

    The arguments are (level, argument) of one or both signs. The function is
    (image, argument) → image.
    """
    space = transform._augmentation_space(count, self.shape)
    for name, (levels, signed) in space.items():
      level = lambda m, x=levels: float(x[m]) if x.ndim else 0.0
      signs = (1, -1) if signed and snake(name) in _BLENDS else (1,)

      def run(image, level, name=name):
        return self.apply(image, name, level, self.bilinear, list(MEAN))

      def both(m, level=level, signs=signs, name=name):
        # _apply_op translates by whole pixels.
        whole = int if 'Translate' in name else float
        return [(float(s * whole(level(m))),) * 2 for s in signs]

      yield snake(name), both, run

  def sample(self, transform, image):
    """Returns the (operation, level) of each draw for one image."""
    seen = []

    def record(image, name, magnitude, **_):
      whole = int if 'Translate' in name else float
      seen.append((snake(name), float(whole(magnitude))))
      return image

    self.module._apply_op = record
    transform(image)
    self.module._apply_op = self.apply
    return seen


class Timm:
  """timm's policies, or MindCV's, which adapts timm's module."""

  def __init__(self, shape):
    from timm.data import auto_augment

    hparams = dict(interpolation=Image.BILINEAR, img_mean=MEAN)
    original = auto_augment.auto_augment_transform(
      'original-mstd0.5', dict(hparams)
    )
    rand = auto_augment.rand_augment_transform(
      'rand-m9-mstd0.5-inc1', dict(hparams)
    )
    self.module, self.shape = auto_augment, shape
    self.policies = {
      'autoaugment_timm': (
        *(original, 11),
        auto_augment.auto_augment_policy_original,
      ),
      'randaugment_increasing': (rand, 11, auto_augment.rand_augment_transform),
    }

  def pairs(self, transform):
    if not hasattr(transform, 'policy'):
      return None
    return [
      [
        (snake(op.name), op.prob, 0 if op.level_fn is None else op.magnitude)
        for op in pair
      ]
      for pair in transform.policy
    ]

  def level(self, name: str, argument: float) -> float:
    """An argument of the package's operation, in the units of `image_ops`."""
    if name in _BLENDS:
      return argument - 1
    if name.startswith('translate'):
      return argument * self.shape[name == 'translate_x']
    return argument

  def operations(self, transform, count: int):
    """As Torchvision.operations."""
    ops = getattr(transform, 'ops', None)
    ops = ops or [op for pair in transform.policy for op in pair]
    for op in {snake(op.name): op for op in ops}.values():
      name = snake(op.name)

      def arguments(m, op=op, name=name):
        if op.level_fn is None:
          return [(0.0, None)]
        real, found = random.random, []
        for value in (0.0, 1.0):
          self.module.random.random = lambda value=value: value
          found += op.level_fn(m, op.hparams)
        self.module.random.random = real
        if name not in _BLENDS or found[0] == found[1]:
          found = found[:1]
        return [(self.level(name, x), x) for x in found]

      def run(image, argument, op=op):
        args = () if argument is None else (argument,)
        return op.aug_fn(image, *args, **op.kwargs)

      yield name, arguments, run

  def sample(self, transform, image):
    seen = []
    ops = getattr(transform, 'ops', None)
    for op in ops or [op for pair in transform.policy for op in pair]:

      def record(image, *args, op=op, **_):
        name = snake(op.name)
        seen.append((name, self.level(name, *args) if args else 0.0))
        return image

      op.aug_fn = record
    transform(image)
    return seen


class MindCV(Timm):
  def __init__(self, shape):
    from mindcv.data import auto_augment

    transform = auto_augment.auto_augment_transform(
      'autoaug', dict(interpolation=auto_augment.Inter.BILINEAR, img_mean=MEAN)
    )
    self.module, self.shape = auto_augment, shape
    source = auto_augment.auto_augment_policy_posterize_original
    self.policies = {'autoaugment_original': (transform, 11, source)}

  def level(self, name, argument):
    if name.startswith('shear'):  # MindSpore takes degrees
      return math.tan(math.radians(argument))
    if name == 'posterize':  # as auto_augment.posterize
      return max(8 - argument, 1)
    return super().level(name, argument)


PACKAGES = {'torchvision': Torchvision, 'timm': Timm, 'mindcv': MindCV}

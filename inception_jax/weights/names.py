"""Names of the networks' units in torch, MindSpore and MindCV.

A unit is a group of tensors with one name: a convolution with its BatchNorm, a
biased convolution, a dense layer. Names and the units of our own tables are
paired by position, so every list here follows the order of `layout.mappings`,
which adds the suffixes of each framework.
"""

import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class Names:
  """The unit names of one network in one framework.

  Attributes:
    body: the layers from the image to the last feature map.
    head: the classifier's layers.
    aux: the auxiliary head's layers; () if the framework has none.
  """

  body: tuple[str, ...]
  head: tuple[str, ...]
  aux: tuple[str, ...] = ()


def _block(prefix: str, units: str) -> list[str]:
  """Prefixes each unit; 'b.0-2' is short for b.0, b.1 and b.2."""
  names = []
  for unit in units.split():
    if digits := re.fullmatch(r'(.*?)(\d)-(\d)', unit):
      stem, first, last = digits.groups()
      names += [f'{stem}{i}' for i in range(int(first), int(last) + 1)]
    else:
      names.append(unit)
  return [prefix + name for name in names]


def _blocks(prefixes, units: str) -> list[str]:
  return [name for prefix in prefixes for name in _block(prefix, units)]


def _v3(stem, prefix, a, b, c, d, e) -> tuple[str, ...]:
  """Returns a v3's body, from the units of torchvision's InceptionA to E.

  `prefix` is formatted with the stage: 'Mixed_{}.' makes 'Mixed_5b.'.
  """
  prefixes = lambda stages: map(prefix.format, stages.split())
  return tuple(
    _block('', stem)
    + _blocks(prefixes('5b 5c 5d'), a)
    + _blocks(prefixes('6a'), b)
    + _blocks(prefixes('6b 6c 6d 6e'), c)
    + _blocks(prefixes('7a'), d)
    + _blocks(prefixes('7b 7c'), e)
  )


def _v4(stem, prefix, a, reduction_a, b, reduction_b, c) -> tuple[str, ...]:
  """Returns a v4's body, from the units of the paper's Inception-A to C.

  `prefix` is called with the number of each block after the stem.
  """
  return tuple(
    stem
    + _blocks(map(prefix, range(0, 4)), a)
    + _block(prefix(4), reduction_a)
    + _blocks(map(prefix, range(5, 12)), b)
    + _block(prefix(12), reduction_b)
    + _blocks(map(prefix, range(13, 16)), c)
  )


# timm's network is torchvision's.
TORCHVISION_V3 = Names(
  _v3(
    'Conv2d_1a_3x3 Conv2d_2a_3x3 Conv2d_2b_3x3 Conv2d_3b_1x1 Conv2d_4a_3x3',
    'Mixed_{}.',
    'branch1x1 branch5x5_1-2 branch3x3dbl_1-3 branch_pool',
    'branch3x3 branch3x3dbl_1-3',
    'branch1x1 branch7x7_1-3 branch7x7dbl_1-5 branch_pool',
    'branch3x3_1-2 branch7x7x3_1-4',
    'branch1x1 branch3x3_1 branch3x3_2a branch3x3_2b branch3x3dbl_1-2'
    ' branch3x3dbl_3a branch3x3dbl_3b branch_pool',
  ),
  head=('fc',),
  aux=('AuxLogits.conv0', 'AuxLogits.conv1', 'AuxLogits.fc'),
)

TIMM_V4 = Names(
  _v4(
    _block('features.', '0 1 2 3.conv 4.branch0.0-1 4.branch1.0-3 5.conv'),
    lambda i: f'features.{6 + i}.',
    'branch0 branch1.0-1 branch2.0-2 branch3.1',
    'branch0 branch1.0-2',
    'branch0 branch1.0-2 branch2.0-4 branch3.1',
    'branch0.0-1 branch1.0-3',
    'branch0 branch1_0 branch1_1a branch1_1b branch2_0-2 branch2_3a branch2_3b'
    ' branch3.1',
  ),
  head=('last_linear',),
)

_BLOCK_17 = 'branch0 branch1.0-2 conv2d'
TIMM_RESNET = Names(
  tuple(
    _block('conv2d_', '1a 2a 2b 3b 4a')
    + _block('mixed_5b.', 'branch0 branch1.0-1 branch2.0-2 branch3.1')
    + _blocks(
      [f'repeat.{i}.' for i in range(10)],
      'branch0 branch1.0-1 branch2.0-2 conv2d',
    )
    + _block('mixed_6a.', 'branch0 branch1.0-2')
    + _blocks([f'repeat_1.{i}.' for i in range(20)], _BLOCK_17)
    + _block('mixed_7a.', 'branch0.0-1 branch1.0-1 branch2.0-2')
    + _blocks([f'repeat_2.{i}.' for i in range(9)], _BLOCK_17)
    + _block('block8.', _BLOCK_17)
    + ['conv2d_7b']
  ),
  head=('classif',),
)

_MINDSPORE_V3 = (
  'branch0 branch1.0-1 branch2.0-2 branch_pool.1',
  'branch0 branch1.0-2',
  'branch0 branch1.0-2 branch2.0-4 branch_pool.1',
  'branch0.0-1 branch1.0-3',
)
MINDCV_V3 = Names(
  _v3(
    'conv1a conv2a conv2b conv3b conv4a',
    'inception{}.',
    *_MINDSPORE_V3,
    'branch0 branch1 branch1a branch1b branch2.0-1 branch2a branch2b'
    ' branch_pool.1',
  ),
  head=('classifier',),
  aux=('aux.conv0', 'aux.conv1', 'aux.fc'),
)
# mindspore-ai/models, official/cv/Inception/inceptionv3.
MINDSPORE_V3 = Names(
  _v3(
    'Conv2d_1a Conv2d_2a Conv2d_2b Conv2d_3b Conv2d_4a',
    'Mixed_{}.',
    *_MINDSPORE_V3,
    'branch0 branch1 branch1_a branch1_b branch2.0-1 branch2_a branch2_b'
    ' branch_pool.1',
  ),
  head=('logits.fc',),
  aux=('aux_logits.conv2d_0', 'aux_logits.conv2d_1', 'aux_logits.fc'),
)

MINDCV_V4 = Names(
  _v4(
    _block(
      'features.0.',
      'conv2d_1a_3x3 conv2d_2a_3x3 conv2d_2b_3x3 mixed_3a_branch_1'
      ' mixed_4a_branch_0.0-1 mixed_4a_branch_1.0-3 mixed_5a_branch_0',
    ),
    lambda i: f'features.{1 + i}.',
    'branch_0 branch_1.0-1 branch_2.0-2 branch_3.1',
    'branch_0 branch_1.0-2',
    'branch_0 branch_1.0-2 branch_2.0-4 branch_3.1',
    'branch_0.0-1 branch_1.0-3',
    'branch_0 branch_1 branch_1_1 branch_1_2 branch_2.0-2 branch_2_1 branch_2_2'
    ' branch_3.1',
  ),
  head=('classifier',),
)
# mindspore-ai/models, official/cv/Inception/inceptionv4. Its head normalizes
# the features and the logits.
MINDSPORE_V4 = Names(
  MINDCV_V4.body, head=('bn0', 'softmax.dense', 'softmax.batchnorm')
)

# weiaicunzai/pytorch-cifar100, including its misspelling 'shorcut'.
CIFAR_V3 = Names(
  _v3(
    'Conv2d_1a_3x3 Conv2d_2a_3x3 Conv2d_2b_3x3 Conv2d_3b_1x1 Conv2d_4a_3x3',
    'Mixed_{}.',
    'branch1x1 branch5x5.0-1 branch3x3.0-2 branchpool.1',
    'branch3x3 branch3x3stack.0-2',
    'branch1x1 branch7x7.0-2 branch7x7stack.0-4 branch_pool.1',
    'branch3x3.0-1 branch7x7.0-3',
    'branch1x1 branch3x3_1 branch3x3_2a branch3x3_2b branch3x3stack_1-2'
    ' branch3x3stack_3a branch3x3stack_3b branch_pool.1',
  ),
  head=('linear',),
)
_CIFAR_STEM = _block(
  'stem.', 'conv1.0-2 branch3x3_conv branch7x7a.0-3 branch7x7b.0-1 branchpoolb'
)


def _cifar_v4_prefix(i: int) -> str:
  if i in (4, 12):
    return 'reduction_a.' if i == 4 else 'reduction_b.'
  block, first = ('a', 0) if i < 4 else ('b', 5) if i < 12 else ('c', 13)
  return f'inception_{block}.Inception{block.upper()}_{i - first}.'


CIFAR_V4 = Names(
  _v4(
    _CIFAR_STEM,
    _cifar_v4_prefix,
    'branch3x3stack.0-2 branch3x3.0-1 branch1x1 branchpool.1',
    'branch3x3stack.0-2 branch3x3',
    'branch1x1 branch7x7.0-2 branch7x7stack.0-4 branchpool.1',
    'branch3x3.0-1 branch7x7.0-3',
    'branch1x1 branch3x3 branch3x3a branch3x3b branch3x3stack.0-2'
    ' branch3x3stacka branch3x3stackb branchpool.1',
  ),
  head=('linear',),
)


def _cifar_resnet(block: str, repeats: int, units: str) -> list[str]:
  name = f'inception_resnet_{block}.InceptionResNet{block.upper()}_'
  return _blocks([f'{name}{i}.' for i in range(repeats)], units)


CIFAR_RESNET = Names(
  tuple(
    _CIFAR_STEM
    + _cifar_resnet(
      'a',
      5,
      'branch1x1 branch3x3.0-1 branch3x3stack.0-2 reduction1x1 shortcut bn',
    )
    + _block('reduction_a.', 'branch3x3stack.0-2 branch3x3')
    + _cifar_resnet('b', 10, 'branch1x1 branch7x7.0-2 reduction1x1 shortcut bn')
    + _block('reduction_b.', 'branch3x3a.0-1 branch3x3b.0-1 branch3x3stack.0-2')
    + _cifar_resnet('c', 5, 'branch1x1 branch3x3.0-2 reduction1x1 shorcut bn')
  ),
  head=('linear',),
)

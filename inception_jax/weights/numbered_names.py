"""Names of torch networks of which only the order of the modules is left.

`nn.Sequential(*network.children())` names modules by their numbers, as in
RadImageNet's files and pytorch-fid's module.
"""

import dataclasses

from inception_jax.weights import names as names_lib
from inception_jax.weights.names import Names


def _numbered(names: Names, modules: str) -> Names:
  """Replaces the modules' names.

  '-' stands for a module that has no tensors, '|' divides several Sequentials.
  """
  parts = [part.split() for part in modules.split('|')]
  numbers = {
    name: f'{i}.{j}' if len(parts) > 1 else str(j)
    for i, part in enumerate(parts)
    for j, name in enumerate(part)
  }
  body = []
  for unit in names.body:
    module, dot, rest = unit.partition('.')
    body.append(numbers[module] + dot + rest)
  return dataclasses.replace(names, body=tuple(body), aux=())


_V3_FIRST = (
  'Conv2d_1a_3x3 Conv2d_2a_3x3 Conv2d_2b_3x3 - Conv2d_3b_1x1 Conv2d_4a_3x3 - '
  'Mixed_5b Mixed_5c Mixed_5d Mixed_6a Mixed_6b Mixed_6c Mixed_6d Mixed_6e'
)
_V3_LAST = 'Mixed_7a Mixed_7b Mixed_7c'
NUMBERED_V3 = _numbered(names_lib.TORCHVISION_V3, f'{_V3_FIRST} {_V3_LAST}')
# With the auxiliary head, which stands where it is called.
NUMBERED_V3_AUX = _numbered(
  names_lib.TORCHVISION_V3, f'{_V3_FIRST} - {_V3_LAST}'
)
# pytorch-fid's `InceptionV3`, below `blocks`.
FID_BLOCKS = _numbered(
  names_lib.TORCHVISION_V3,
  'Conv2d_1a_3x3 Conv2d_2a_3x3 Conv2d_2b_3x3 - | Conv2d_3b_1x1 Conv2d_4a_3x3 - '
  '| Mixed_5b Mixed_5c Mixed_5d Mixed_6a Mixed_6b Mixed_6c Mixed_6d Mixed_6e '
  f'| {_V3_LAST}',
)
NUMBERED_V4 = _numbered(names_lib.TIMM_V4, 'features')
NUMBERED_RESNET = _numbered(
  names_lib.TIMM_RESNET,
  'conv2d_1a conv2d_2a conv2d_2b - conv2d_3b conv2d_4a - mixed_5b repeat '
  'mixed_6a repeat_1 mixed_7a repeat_2 block8 conv2d_7b',
)

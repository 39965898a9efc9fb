"""Names of the units in TF-slim (tensorflow/models, research/slim)."""

from inception_jax.weights.names import Names


def _block(scope: str, *branches: str) -> list[str]:
  """Names the units of a block; a branch is '0a_1x1 0b_3x3', for example."""
  return [
    f'{scope}/Branch_{i}/Conv2d_{unit}'
    for i, branch in enumerate(branches)
    for unit in branch.split()
  ]


_B7 = '0a_1x1 0b_1x7 0c_7x1'
_B7_DOUBLE = '0a_1x1 0b_7x1 0c_1x7 0d_7x1 0e_1x7'
_A = ('0a_1x1', '0a_1x1 0b_5x5', '0a_1x1 0b_3x3 0c_3x3', '0b_1x1')
_STEM = ('1a_3x3', '2a_3x3', '2b_3x3', '3b_1x1', '4a_3x3')


def _v3() -> list[str]:
  names = [f'Conv2d_{unit}' for unit in _STEM]
  names += _block('Mixed_5b', *_A)
  # Its second branch has other names than those of 5b and 5d.
  mixed_5c = _block('Mixed_5c', _A[0], '0b_1x1', *_A[2:])
  mixed_5c.insert(2, 'Mixed_5c/Branch_1/Conv_1_0c_5x5')
  names += mixed_5c
  names += _block('Mixed_5d', *_A)
  names += _block('Mixed_6a', '1a_1x1', '0a_1x1 0b_3x3 1a_1x1')
  for c in 'bcde':
    names += _block(f'Mixed_6{c}', '0a_1x1', _B7, _B7_DOUBLE, '0b_1x1')
  names += _block('Mixed_7a', '0a_1x1 1a_3x3', _B7 + ' 1a_3x3')
  split = '0a_1x1 0b_3x3 0c_1x3 0d_3x1'
  for c, unit in (('b', '0b_3x1'), ('c', '0c_3x1')):
    names += _block(
      f'Mixed_7{c}', '0a_1x1', f'0a_1x1 0b_1x3 {unit}', split, '0b_1x1'
    )
  return names


def _v4() -> list[str]:
  names = ['Conv2d_1a_3x3', 'Conv2d_2a_3x3', 'Conv2d_2b_3x3']
  names += _block('Mixed_3a', '', '0a_3x3')
  names += _block('Mixed_4a', '0a_1x1 1a_3x3', _B7 + ' 1a_3x3')
  names += _block('Mixed_5a', '1a_3x3')
  for c in 'bcde':
    names += _block(
      f'Mixed_5{c}', '0a_1x1', '0a_1x1 0b_3x3', '0a_1x1 0b_3x3 0c_3x3', '0b_1x1'
    )
  names += _block('Mixed_6a', '1a_3x3', '0a_1x1 0b_3x3 1a_3x3')
  for c in 'bcdefgh':
    names += _block(f'Mixed_6{c}', '0a_1x1', _B7, _B7_DOUBLE, '0b_1x1')
  names += _block('Mixed_7a', '0a_1x1 1a_3x3', _B7 + ' 1a_3x3')
  for c in 'bcd':
    names += _block(
      f'Mixed_7{c}',
      '0a_1x1',
      '0a_1x1 0b_1x3 0c_3x1',
      '0a_1x1 0b_3x1 0c_1x3 0d_1x3 0e_3x1',
      '0b_1x1',
    )
  return names


def _resnet() -> list[str]:
  names = [f'Conv2d_{unit}' for unit in _STEM]
  names += _block('Mixed_5b', '1x1', *_A[1:])
  block_8 = ('1x1', '0a_1x1 0b_1x3 0c_3x1')
  block_35 = ('1x1', '0a_1x1 0b_3x3', '0a_1x1 0b_3x3 0c_3x3')
  reduction_a = ('1a_3x3', '0a_1x1 0b_3x3 1a_3x3')
  reduction_b = ('0a_1x1 1a_3x3', '0a_1x1 1a_3x3', '0a_1x1 0b_3x3 1a_3x3')
  for reduction, scope, count, branches in (
    ([], 'Repeat/block35', 10, block_35),
    (_block('Mixed_6a', *reduction_a), 'Repeat_1/block17', 20, ('1x1', _B7)),
    (_block('Mixed_7a', *reduction_b), 'Repeat_2/block8', 9, block_8),
  ):
    names += reduction
    for i in range(1, count + 1):
      names += _block(f'{scope}_{i}', *branches)
      names.append(f'{scope}_{i}/Conv2d_1x1')
  names += _block('Block8', *block_8)
  return [*names, 'Block8/Conv2d_1x1', 'Conv2d_7b_1x1']


def _scoped(scope: str, body: list[str], head: str, aux: str) -> Names:
  scoped = lambda names: tuple(f'{scope}/{name}' for name in names)
  aux_names = [f'AuxLogits/{name}' for name in aux.split()]
  return Names(scoped(body), scoped([head]), scoped(aux_names))


SLIM_V3 = _scoped(
  'InceptionV3',
  _v3(),
  'Logits/Conv2d_1c_1x1',
  'Conv2d_1b_1x1 Conv2d_2a_5x5 Conv2d_2b_1x1',
)
SLIM_V4 = _scoped(
  'InceptionV4', _v4(), 'Logits/Logits', 'Conv2d_1b_1x1 Conv2d_2a Aux_logits'
)
SLIM_RESNET = _scoped(
  'InceptionResnetV2',
  _resnet(),
  'Logits/Logits',
  'Conv2d_1b_1x1 Conv2d_2a_5x5 Logits',
)

"""Names of the networks' units in Keras."""

from inception_jax.weights.names import Names

# Keras numbers convolutions in the order of their creation; `keras_file` makes
# the numbers of every file start at 0.
KERAS_V3 = Names(tuple(f'conv2d_{i}' for i in range(94)), head=('predictions',))


def _keras_resnet() -> list[str]:
  numbers = iter(range(203))
  convs = lambda n: [f'conv2d_{next(numbers)}' for _ in range(n)]
  names = convs(5 + 7)
  for block, repeats, size in (('35', 10, 6), ('17', 20, 4), ('8', 10, 4)):
    if block != '35':
      names += convs({'17': 4, '8': 7}[block])  # the reduction before it
    for i in range(1, repeats + 1):
      names += [*convs(size), f'block{block}_{i}_conv']
  return [*names, 'conv_7b']


KERAS_RESNET = Names(tuple(_keras_resnet()), head=('predictions',))


def _in_order(*blocks: tuple[tuple[int, ...], int]) -> list[int]:
  """Concatenates blocks of numbers, each counted on from those before it."""
  numbers = []
  for offsets, repeats in blocks:
    for _ in range(repeats):
      start = len(numbers)
      numbers += [start + offset for offset in offsets]
  return numbers


# `model.layers` is sorted by the distance to the output: a block's convolutions
# in that order, by their numbers.
_STEM = ((0,), 5)
_A = (3, 1, 4, 0, 2, 5)
_REDUCTION = (1, 2, 0, 3)
_V3_ORDER = _in_order(
  _STEM,
  ((*_A, 6), 3),
  (_REDUCTION, 1),
  ((4, 5, 1, 6, 2, 7, 0, 3, 8, 9), 4),
  ((2, 3, 0, 4, 1, 5), 1),
  ((4, 1, 5, 2, 3, 6, 7, 0, 8), 2),
)
_B = (1, 2, 0, 3)
_RESNET_ORDER = _in_order(
  _STEM,
  ((*_A, 6), 1),
  (_A, 10),
  (_REDUCTION, 1),
  (_B, 20),
  ((4, 0, 2, 5, 1, 3, 6), 1),
  (_B, 10),
)


def _resnet_in_order() -> dict[str, list[str]]:
  convs = [f'conv2d_{i}' for i in _RESNET_ORDER]
  at = 5 + 7
  for block, repeats, size in (('35', 10, 6), ('17', 20, 4), ('8', 10, 4)):
    if block != '35':
      at += {'17': 4, '8': 7}[block]  # the reduction before it
    for i in range(1, repeats + 1):
      at += size
      convs.insert(at, f'block{block}_{i}_conv')
      at += 1
  norms = [f'batch_normalization_{i}' for i in _RESNET_ORDER]
  return {
    'conv2d': [*convs, 'conv_7b'],
    'batch_normalization': [*norms, 'conv_7b_bn'],
  }


def in_order(count: int) -> dict[str, list[str]]:
  """Returns the layers' names by kind, in the order of Keras's `model.layers`.

  Of the largest network with at most `count` convolutions; {} if there is none.
  """
  resnet = _resnet_in_order()
  if count >= len(resnet['conv2d']):
    return resnet
  if count < len(_V3_ORDER):
    return {}
  return {
    kind: [f'{kind}_{i}' for i in _V3_ORDER]
    for kind in ('conv2d', 'batch_normalization')
  }

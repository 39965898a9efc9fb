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

"""Names of the units in TensorFlow's graph of 2015-12-05.

Of classify_image_graph_def.pb, in inception-2015-12-05.tgz. The order follows
toshas/torch-fidelity, utils/util_convert_inception_weights.py; the names are
also those of hvy/chainer-inception-score, download.py.
"""

from inception_jax.weights.names import Names

_A = (
  'conv tower/conv tower/conv_1 tower_1/conv tower_1/conv_1 tower_1/conv_2'
  ' tower_2/conv'
)
_B = 'conv tower/conv tower/conv_1 tower/conv_2'
_C = (
  'conv tower/conv tower/conv_1 tower/conv_2 tower_1/conv tower_1/conv_1'
  ' tower_1/conv_2 tower_1/conv_3 tower_1/conv_4 tower_2/conv'
)
_D = (
  'tower/conv tower/conv_1 tower_1/conv tower_1/conv_1 tower_1/conv_2'
  ' tower_1/conv_3'
)
_E = (
  'conv tower/conv tower/mixed/conv tower/mixed/conv_1 tower_1/conv'
  ' tower_1/conv_1 tower_1/mixed/conv tower_1/mixed/conv_1 tower_2/conv'
)
_BLOCKS = (_A, _A, _A, _B, _C, _C, _C, _C, _D, _E, _E)
INCEPTION_2015 = Names(
  (
    *('conv', 'conv_1', 'conv_2', 'conv_3', 'conv_4'),
    *(
      (f'mixed_{i}/' if i else 'mixed/') + unit
      for i, units in enumerate(_BLOCKS)
      for unit in units.split()
    ),
  ),
  head=('softmax',),
)

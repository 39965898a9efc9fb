"""The TensorFlow graph of 2015-12-05, with weights by formula.

classify_image_graph_def.pb of inception-2015-12-05.tgz is not in any package.
Here, TensorFlow's scopes number the layers in the order in which they are made.
The names are those of toshas/torch-fidelity's util_convert_inception_weights.py
and of hvy/chainer-inception-score's download.py.
"""

import functools

import numpy as np
import tensorflow as tf

from inception_jax.models.layers import LayerOptions
from tests.parity import formula

v1 = tf.compat.v1
FEATURES, LOGITS = 'pool_3', 'softmax/logits'
_IMAGES = 'images'
# The last version of graphs with this BatchNorm.
_PRODUCER = 8


def _constant(name: str, shape):
  whole = '/'.join(
    filter(None, (v1.get_default_graph().get_name_scope(), name))
  )
  return v1.constant(formula.tensor(whole, shape, oihw=False), name=name)


def conv(features, height=1, width=0, strides=1, padding='SAME'):
  def apply(x, channels):
    count = channels(features)
    shape = (height, width or height, x.shape[-1], count)
    with v1.name_scope('conv'):
      kernel = _constant('conv2d_params', shape)
      x = tf.nn.conv2d(x, kernel, strides, padding, name='Conv2D')
      with v1.name_scope('batchnorm') as scope:
        statistics = {
          'beta': _constant('beta', (count,)),
          'gamma': _constant('gamma', (count,)),
          'm': _constant('moving_mean', (count,)),
          'v': _constant('moving_variance', (count,)),
        }
      x = tf.raw_ops.BatchNormWithGlobalNormalization(
        t=x,
        **statistics,
        variance_epsilon=1e-3,
        scale_after_normalization=True,
        name=scope,
      )
      return tf.nn.relu(x)

  return apply


def pool(kind, strides=1, padding='SAME'):
  function = {'max': tf.nn.max_pool2d, 'avg': tf.nn.avg_pool2d}[kind]
  return lambda x, _: function(x, 3, strides, padding, name='pool')


def mixed(*branches):
  """A block; a branch of several stages, in a tuple, has a scope of its own."""

  def apply(x, channels):
    with v1.name_scope('mixed'):
      return tf.concat(
        [_run(b, x, channels) for b in branches], -1, name='join'
      )

  return apply


def _run(branch, x, channels):
  if callable(branch):
    return branch(x, channels)
  with v1.name_scope('tower'):
    return functools.reduce(lambda y, stage: stage(y, channels), branch, x)


def block_a(features):
  return mixed(
    conv(64),
    (conv(48), conv(64, 5)),
    (conv(64), conv(96, 3), conv(96, 3)),
    (pool('avg'), conv(features)),
  )


def block_b(c):
  return mixed(
    conv(192),
    (conv(c), conv(c, 1, 7), conv(192, 7, 1)),
    (conv(c), conv(c, 7, 1), conv(c, 1, 7), conv(c, 7, 1), conv(192, 1, 7)),
    (pool('avg'), conv(192)),
  )


def block_c(kind):
  return mixed(
    conv(320),
    (conv(384), mixed(conv(384, 1, 3), conv(384, 3, 1))),
    (conv(448), conv(384, 3), mixed(conv(384, 1, 3), conv(384, 3, 1))),
    (pool(kind), conv(192)),
  )


DOWN = {'strides': 2, 'padding': 'VALID'}
STAGES = (
  conv(32, 3, **DOWN),
  conv(32, 3, padding='VALID'),
  conv(64, 3),
  pool('max', **DOWN),
  conv(80),
  conv(192, 3, padding='VALID'),
  pool('max', **DOWN),
  *map(block_a, (32, 64, 64)),
  mixed(
    conv(384, 3, **DOWN),
    (conv(64), conv(96, 3), conv(96, 3, **DOWN)),
    pool('max', **DOWN),
  ),
  *map(block_b, (128, 160, 160, 192)),
  mixed(
    (conv(192), conv(320, 3, **DOWN)),
    (conv(192), conv(192, 1, 7), conv(192, 7, 1), conv(192, 3, **DOWN)),
    pool('max', **DOWN),
  ),
  block_c('avg'),
  block_c('max'),
)


def graph_def(size: int = 299, width: float = 1.0):
  """Returns the graph, of images in uint8 that it resizes to `size`."""
  channels = LayerOptions(width=width).channels
  with tf.Graph().as_default() as graph:
    oldest = v1.GraphDef()
    oldest.versions.producer = _PRODUCER
    tf.import_graph_def(oldest, name='')
    x = v1.placeholder(tf.uint8, (None, None, None, 3), name=_IMAGES)
    x = tf.raw_ops.ResizeBilinear(
      images=tf.cast(x, tf.float32), size=[size] * 2
    )
    x = (x - 128.0) * np.float32(1 / 128)
    for stage in STAGES:
      x = stage(x, channels)
    x = tf.reduce_mean(x, (1, 2), name=FEATURES)
    with v1.name_scope('softmax'):
      kernel = _constant('weights', (x.shape[-1], 1008))
      bias = _constant('biases', (1008,))
      tf.nn.bias_add(x @ kernel, bias, name='logits')
    return graph.as_graph_def()


def run(definition, images, output: str) -> np.ndarray:
  """Runs the graph for images, uint8 [B, H, W, 3]."""
  with tf.Graph().as_default() as graph:
    tf.import_graph_def(definition, name='')
    with v1.Session(graph=graph) as session:
      return session.run(f'{output}:0', {f'{_IMAGES}:0': images})

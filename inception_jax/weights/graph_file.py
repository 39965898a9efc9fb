"""Reads the constants of a frozen TensorFlow graph, which is not run."""

import math
import os

import numpy as np

from inception_jax.weights import limits


def read(path: str) -> dict[str, np.ndarray]:
  """Reads the float32 constants of a GraphDef by the names of their nodes.

  A convolution's kernel, `conv2d_params` in the graph, is named `weights`, as a
  dense layer's.

  Raises:
    ValueError: the constants are larger than the file.
    google.protobuf.message.DecodeError: it is no GraphDef.
  """
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  import tensorflow as tf

  graph = tf.compat.v1.GraphDef()
  with open(path, 'rb') as file:
    graph.ParseFromString(file.read())
  constants = {
    node.name: node.attr['value'].tensor
    for node in graph.node
    if node.op == 'Const'
    and node.attr['value'].tensor.dtype == tf.float32.as_datatype_enum
  }
  sizes = {
    name: [dim.size for dim in constant.tensor_shape.dim]
    for name, constant in constants.items()
  }
  if any(min(size, default=0) < 0 for size in sizes.values()):
    raise ValueError('a constant has a negative size')
  # A constant may repeat one value.
  nbytes = sum(4 * math.prod(size) for size in sizes.values())
  limits.check_size(nbytes, os.path.getsize(path))
  return {
    name.replace('/conv2d_params', '/weights'): tf.make_ndarray(constant)
    for name, constant in constants.items()
  }

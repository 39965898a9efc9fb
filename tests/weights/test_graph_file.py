"""Frozen TensorFlow graphs: the network of 2015-12-05, and hostile files."""

import dataclasses

import jax
import numpy as np
import pytest
import tensorflow as tf

from inception_jax.data.augment import transforms
from inception_jax.errors import UserError
from inception_jax.models import architectures
from inception_jax.models import card
from inception_jax.models import features
from inception_jax.weights import importer
from tests.support import graph_2015

WIDTH, SIZE = 1 / 8, 107  # the last grid is 2×2


@pytest.fixture
def narrow(monkeypatch):
  """Makes the importer expect the graph's network at `WIDTH`."""
  sources = tuple(
    dataclasses.replace(source, overrides={'width': WIDTH})
    for source in importer.SOURCES
    if source.framework == 'TensorFlow'
  )
  monkeypatch.setattr(importer, 'SOURCES', sources)


@pytest.mark.slow
def test_the_graph_of_2015_gives_tensorflows_features(tmp_path, narrow):
  graph = graph_2015.graph_def(SIZE, WIDTH)
  path = tmp_path / 'classify_image_graph_def.pb'
  path.write_bytes(graph.SerializeToString())
  weights = importer.load(str(path))
  assert weights.network == architectures.published(
    'fid_inception_v3', 1008, width=WIDTH
  )
  images = np.random.RandomState(0).randint(0, 256, (2, SIZE, SIZE, 3))
  images = images.astype(np.uint8)
  inputs = transforms.normalize(images, card.to_config(weights.card))
  model = architectures.create(weights.network)
  forward = jax.jit(lambda v, x: features.features(model, v, x))
  found = forward(weights.variables, inputs)
  for name, output in (
    ('pooled', graph_2015.FEATURES),
    ('logits', graph_2015.LOGITS),
  ):
    expected = graph_2015.run(graph, images, output)
    error = np.abs(found[name] - expected).max() / np.abs(expected).max()
    assert error < 1e-5


def constants(**tensors):
  """Returns a graph of nothing but constants, serialized."""
  graph = tf.compat.v1.GraphDef()
  for name, tensor in tensors.items():
    node = graph.node.add(name=name, op='Const')
    node.attr['value'].tensor.CopyFrom(tensor)
  return graph.SerializeToString()


def repeated(*size):
  """Returns a tensor of one value, stored once."""
  tensor = tf.make_tensor_proto(1.0, tf.float32, ())
  for n in size:
    tensor.tensor_shape.dim.add(size=n)
  return tensor


@pytest.mark.parametrize(
  ('content', 'reason'),
  [
    (b'no graph', 'cannot be read as a frozen TensorFlow graph'),
    (constants(a=repeated(3))[:-2], 'cannot be read as a frozen TensorFlow'),
    (constants(a=repeated(2**24)), r'declares \d+ bytes of arrays'),
    (constants(a=repeated(2**40, 2**40)), r'declares \d+ bytes of arrays'),
    (
      constants(a=repeated(2**40), b=repeated(-(2**40))),
      'a constant has a negative size',
    ),
    (constants(a=tf.make_tensor_proto(['x'])), 'of this file: none'),
    (constants(a=repeated(3)), 'does not hold a known network'),
  ],
  ids=['text', 'part', 'fill', 'overflow', 'negative', 'strings', 'other'],
)
def test_other_graphs_are_an_error(tmp_path, content, reason):
  path = tmp_path / 'x.pb'
  path.write_bytes(content)
  with pytest.raises(UserError, match=reason):
    importer.load(str(path))

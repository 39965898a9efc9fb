"""Networks of TF-slim, which the package tf_object_detection contains."""

import importlib
import os
import sys
import types

os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'

import cases
import tensorflow.compat.v1 as tf
import tf_slim as slim

tf.disable_v2_behavior()
# The networks import TensorFlow 1 as `tensorflow`.
tf.contrib = types.SimpleNamespace(slim=slim)
sys.modules['tensorflow'] = tf


class Slim:
  """A network of tensorflow/models, research/slim."""

  oihw = False

  def __init__(self, case, size, clone):
    del clone
    utils = importlib.import_module('nets.inception_utils')
    make = getattr(
      importlib.import_module(f'nets.{case.network}'), case.network
    )
    aux_head = case.aux_head and size == cases.FULL
    graph = tf.Graph()
    with graph.as_default(), slim.arg_scope(utils.inception_arg_scope()):
      self._images = tf.placeholder(tf.float32, (case.batch, size, size, 3))
      self._labels = tf.placeholder(tf.int32, (case.batch,))

      def network(**kwargs):
        return make(
          self._images,
          num_classes=cases.NUM_CLASSES,
          dropout_keep_prob=1.0,
          create_aux_logits=aux_head,
          **kwargs,
        )

      self._logits, points = network(is_training=True)
      self._aux = points['AuxLogits'] if aux_head else None
      self._evaluated, _ = network(is_training=False, reuse=True)
      loss = self._loss(self._logits)
      if aux_head:
        loss += cases.AUX_LOSS_WEIGHT * self._loss(self._aux)
      trainable = tf.trainable_variables()
      names = [variable.op.name for variable in trainable]
      gradients = tf.gradients(loss, trainable)
      self._gradients = dict(zip(names, gradients, strict=True))
      self._variables = {v.op.name: v for v in tf.global_variables()}
      self._saver = tf.train.Saver(self._variables)
    self._session = tf.Session(graph=graph)
    self.tensors = {
      name: tuple(variable.shape.as_list())
      for name, variable in self._variables.items()
    }

  def _loss(self, logits):
    return tf.reduce_mean(
      tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=self._labels, logits=logits
      )
    )

  def load(self, tensors):
    for name, variable in self._variables.items():
      variable.load(tensors[name], self._session)

  def save(self, path):
    self._saver.save(self._session, path, write_meta_graph=False)

  def evaluate(self, images):
    return self._session.run(self._evaluated, {self._images: images})

  def train(self, images, labels):
    fetches = {'logits': self._logits, 'gradients': self._gradients}
    if self._aux is not None:
      fetches['aux'] = self._aux
    results = self._session.run(
      fetches, {self._images: images, self._labels: labels}
    )
    return results['logits'], results.get('aux'), results['gradients']

"""Networks of keras.applications."""

import os
import re

import numpy as np

os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'

import cases
import keras
import tensorflow as tf

_FIRST = re.compile('^(conv2d|batch_normalization)$')


class Keras:
  """A network of keras.applications; its tensors are named 'layer/weight'."""

  oihw = False

  def __init__(self, case, size, clone):
    del clone
    keras.utils.clear_session()
    make = {
      'inception_v3': keras.applications.InceptionV3,
      'inception_resnet_v2': keras.applications.InceptionResNetV2,
    }[case.network]
    self._model = make(
      weights=None,
      input_shape=(size, size, 3),
      classes=cases.NUM_CLASSES,
      classifier_activation=None,
    )
    self._weights = {
      # As the importer names them: Keras does not number the first of a kind.
      _FIRST.sub(r'\1_0', layer.name) + f'/{weight.name}': weight
      for layer in self._model.layers
      for weight in layer.weights
    }
    self.tensors = {k: tuple(w.shape) for k, w in self._weights.items()}

  def load(self, tensors):
    for name, weight in self._weights.items():
      weight.assign(tensors[name])

  def save(self, path):
    if path.endswith('.weights.h5'):
      self._model.save_weights(path)
    else:
      self._model.save(path)

  def evaluate(self, images):
    return np.asarray(self._model(images, training=False))

  def train(self, images, labels):
    with tf.GradientTape() as tape:
      logits = self._model(images, training=True)
      loss = tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
      )
    trainable = {k: w for k, w in self._weights.items() if w.trainable}
    gradients = tape.gradient(loss, [w.value for w in trainable.values()])
    gradients = map(np.asarray, gradients)
    return (
      np.asarray(logits),
      None,
      dict(zip(trainable, gradients, strict=True)),
    )

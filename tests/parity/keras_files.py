"""Weights as Keras's users save them; see torch_files.py.

The networks take images in [−1, 1], as `keras.applications` prepares them.
"""

import functools
import os

os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'

import keras
from keras import layers
import numpy as np

from tests.parity import formula

CLASSES = 5


def _base(network='InceptionV3', size=75, **kwargs):
  keras.utils.clear_session()
  base = getattr(keras.applications, network)(
    weights=None, input_shape=(size, size, 3), **kwargs
  )
  return _fill(base)


def _fill(model):
  """Gives a model weights by formula."""
  for i, layer in enumerate(model.layers):
    layer.set_weights(
      [
        formula.tensor(f'{i}/{weight.name}', weight.shape, oihw=False)
        for weight in layer.weights
      ]
    )
  return model


def _save(model, folder, ending: str) -> str:
  path = str(folder / f'x.{ending}')
  save = model.save_weights if ending == 'weights.h5' else model.save
  save(path)
  return path


def _of(model):
  """Returns pixels → what the model computes."""
  prepare = keras.applications.inception_v3.preprocess_input
  return lambda x: np.asarray(
    model(prepare(x.astype('float32')), training=False)
  )


def whole(folder, ending):
  model = _base(classes=CLASSES, classifier_activation=None)
  return _save(model, folder, ending), _of(model)


def without_top(folder, ending, network='InceptionV3'):
  base = _base(network, include_top=False)
  pooled = layers.GlobalAveragePooling2D()(base.output)
  path = _save(base, folder, ending)
  return path, _of(keras.Model(base.input, pooled))


def nested(folder, ending):
  """The network is a layer of a Sequential, below one dense layer."""
  base = _base(include_top=False)
  model = keras.Sequential(
    [base, layers.GlobalAveragePooling2D(), layers.Dense(CLASSES)]
  )
  return _save(model, folder, ending), _of(model)


def flat(folder, ending):
  """One functional model, with dropout and one dense layer."""
  base = _base(include_top=False, pooling='avg')
  x = layers.Dense(CLASSES)(layers.Dropout(0.5)(base.output))
  model = keras.Model(base.input, x)
  return _save(model, folder, ending), _of(model)


def two_layers(folder, ending):
  """Its features are compared: the classifier is not imported."""
  base = _base(include_top=False, pooling='avg')
  model = keras.Sequential(
    [base, layers.Dense(64, activation='relu'), layers.Dense(CLASSES)]
  )
  return _save(model, folder, ending), _of(base)


KINDS = {
  f'Keras .{ending}, {name}': functools.partial(make, ending=ending)
  for name, make, ending in (
    ('include_top=True', whole, 'weights.h5'),
    ('include_top=False', without_top, 'h5'),
    ('include_top=False', without_top, 'weights.h5'),
    ('include_top=False', without_top, 'keras'),
    ('nested, one Dense', nested, 'h5'),
    ('nested, one Dense', nested, 'weights.h5'),
    ('nested, one Dense', nested, 'keras'),
    ('flat, one Dense', flat, 'h5'),
    ('nested, two Dense', two_layers, 'keras'),
  )
} | {
  'Keras .keras, InceptionResNetV2, include_top=False': functools.partial(
    without_top, ending='keras', network='InceptionResNetV2'
  )
}

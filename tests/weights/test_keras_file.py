"""Files that Keras writes: without a classifier, with another one, nested."""

import logging

import h5py
import jax
import numpy as np
import pytest

from inception_jax.errors import UserError
from inception_jax.models import architectures
from inception_jax.weights import importer
from inception_jax.weights import readers
from tests.parity import formula

SHAPE = (75, 75, 3)
CLASSES = 5
# Of Keras with numpy 2.
pytestmark = pytest.mark.filterwarnings('ignore:__array__ implementation')
ENDINGS = ['h5', 'weights.h5', 'keras']


def base_of(keras, network='InceptionV3', **kwargs):
  """Returns a network of keras.applications, with weights by formula."""
  make = getattr(keras.applications, network)
  base = make(weights=None, include_top=False, input_shape=SHAPE, **kwargs)
  for i, layer in enumerate(base.layers):
    layer.set_weights(
      [
        formula.tensor(f'{i}/{weight.name}', weight.shape, oihw=False)
        for weight in layer.weights
      ]
    )
  return base


@pytest.fixture(scope='module')
def keras():
  import keras

  return keras


@pytest.fixture(scope='module')
def base(keras):
  keras.applications.InceptionV3(weights=None, include_top=False)
  base = base_of(keras)
  names = [layer.name for layer in base.layers]
  assert 'conv2d' not in names  # numbered on
  return base


@pytest.fixture(scope='module')
def body(base, tmp_path_factory):
  """The variables of `base`, imported."""
  path = str(tmp_path_factory.mktemp('body') / 'x.h5')
  base.save_weights(path.replace('.h5', '.weights.h5'))
  weights = importer.load(path.replace('.h5', '.weights.h5'))
  assert weights.network.num_classes == 0
  return weights


def features_of(weights, images):
  model = architectures.create(weights.network)
  features, aux = jax.jit(model.apply)(weights.variables, images)
  assert aux is None
  return np.asarray(features)


def check_features(base, weights):
  images = formula.images(2, SHAPE[0])
  expected = np.mean(base(images, training=False), axis=(1, 2))
  found = features_of(weights, images)
  assert found.shape == expected.shape
  assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.slow
def test_features_equal_keras(base, body):
  check_features(base, body)


@pytest.mark.slow
def test_features_of_inception_resnet_v2_equal_keras(keras, tmp_path):
  base = base_of(keras, 'InceptionResNetV2')
  base.save(tmp_path / 'x.h5')
  weights = importer.load(str(tmp_path / 'x.h5'))
  check_features(base, weights)
  base.save_weights(path := str(tmp_path / 'x.weights.h5'))
  remove_names(path)
  jax.tree.map(
    np.testing.assert_array_equal,
    importer.load(path).variables,
    weights.variables,
  )


def remove_names(path):
  """Makes a file that of Keras 2, in which layers have only numbers."""

  def remove(_, item):
    item.attrs.pop('name', None)

  with h5py.File(path, 'r+') as file:
    file.visititems(remove)


def headless(keras, base):
  return base


def pooled(keras, base):
  pool = keras.layers.GlobalAveragePooling2D()
  return keras.Model(base.input, pool(base.output))


def two_layers(keras, base):
  """The user's head, its last layer named as that of Keras."""
  x = keras.layers.GlobalAveragePooling2D()(base.output)
  x = keras.layers.Dense(256, 'relu')(x)
  return keras.Model(base.input, keras.layers.Dense(5, name='predictions')(x))


def normalized(keras, base):
  """A Sequential around the network, with a BatchNorm of its own."""
  return keras.Sequential(
    [
      keras.layers.Input(SHAPE),
      keras.layers.Rescaling(1 / 127.5, -1),
      base,
      keras.layers.GlobalAveragePooling2D(),
      keras.layers.BatchNormalization(),
      keras.layers.Dense(CLASSES),
    ]
  )


@pytest.mark.slow
@pytest.mark.parametrize(
  ('make', 'ending'),
  [
    *((headless, ending) for ending in ENDINGS),
    (pooled, 'keras'),
    (two_layers, 'h5'),
    (two_layers, 'weights.h5'),
    (normalized, 'h5'),
    (normalized, 'keras'),
  ],
)
def test_the_network_is_imported_without_another_head(
  keras, base, body, tmp_path, caplog, make, ending
):
  with caplog.at_level(logging.INFO, 'inception_jax'):
    weights = save_and_load(make(keras, base), tmp_path, ending)
  assert weights.network == body.network
  assert 'without a classifier' in caplog.text
  named = 'not one dense layer' in caplog.text and 'dense' in caplog.text
  assert named == (make in (two_layers, normalized))
  jax.tree.map(np.testing.assert_array_equal, weights.variables, body.variables)


def flat(keras, base):
  x = keras.layers.GlobalAveragePooling2D()(base.output)
  return keras.Model(base.input, keras.layers.Dense(CLASSES, name='mine')(x))


def nested(keras, base):
  inputs = keras.layers.Input(SHAPE)
  x = keras.layers.GlobalAveragePooling2D()(base(inputs))
  return keras.Model(inputs, keras.layers.Dense(CLASSES)(x))


def twice_nested(keras, base):
  layers = [keras.layers.Input(SHAPE), nested(keras, base)]
  model = keras.Sequential(layers)
  # The file gets the state of an optimizer and of a metric.
  model.compile('adam', 'mse', metrics=[keras.metrics.AUC()])
  return model


@pytest.mark.slow
@pytest.mark.parametrize(
  ('make', 'ending'),
  [
    (flat, 'h5'),
    (flat, 'keras'),
    (nested, 'h5'),
    (nested, 'weights.h5'),
    (twice_nested, 'h5'),
    (twice_nested, 'keras'),
  ],
)
def test_one_dense_layer_of_any_name_is_the_classifier(
  keras, base, body, tmp_path, make, ending
):
  model = make(keras, base)
  weights = save_and_load(model, tmp_path, ending)
  assert weights.network.num_classes == CLASSES
  head = weights.variables['params'].pop('head')['dense']
  kernel, bias = model.get_weights()[-2:]
  np.testing.assert_array_equal(head['kernel'], kernel)
  np.testing.assert_array_equal(head['bias'], bias)
  jax.tree.map(np.testing.assert_array_equal, weights.variables, body.variables)


@pytest.mark.slow
def test_a_model_of_ones_own_class(keras, base, body, tmp_path):
  class Model(keras.Model):
    def __init__(self):
      super().__init__()
      self.base = base
      self.pool = keras.layers.GlobalAveragePooling2D()
      # Positive: a sum with two signs may round to more than the bound.
      kernel = keras.initializers.RandomUniform(0.5, 1.5, seed=0)
      self.last = keras.layers.Dense(1, kernel_initializer=kernel)

    def call(self, x):
      return self.last(self.pool(self.base(x)))

  model = Model()
  logits = np.asarray(model(formula.images(2, SHAPE[0])))
  weights = save_and_load(model, tmp_path, 'weights.h5')
  assert weights.network.num_classes == 1
  head = weights.variables['params'].pop('head')['dense']
  jax.tree.map(np.testing.assert_array_equal, weights.variables, body.variables)
  features = features_of(body, formula.images(2, SHAPE[0]))
  found = features @ head['kernel'] + head['bias']
  assert np.abs(found - logits).max() <= 1e-5 * np.abs(logits).max()


@pytest.mark.slow
@pytest.mark.parametrize('make', [headless, normalized, flat])
def test_layers_without_names(keras, base, body, tmp_path, make):
  path = str(tmp_path / 'x.weights.h5')
  make(keras, base).save_weights(path)
  remove_names(path)
  weights = importer.load(path)
  head = weights.variables['params'].pop('head', None)
  assert bool(head) == (make is flat)
  jax.tree.map(np.testing.assert_array_equal, weights.variables, body.variables)


def save_and_load(model, folder, ending):
  path = str(folder / f'x.{ending}')
  if ending == 'weights.h5':
    model.save_weights(path)
  else:
    model.save(path)
  return importer.load(path)


def test_a_tensor_missing_from_the_body_is_named(base, tmp_path):
  path = str(tmp_path / 'x.weights.h5')
  base.save_weights(path)
  with h5py.File(path, 'r+') as file:
    del file['layers/conv2d_93/vars/0']
  with pytest.raises(UserError, match='conv2d_93/kernel: missing'):
    importer.load(path)


def test_layers_of_a_keras_2_file_have_the_name_of_their_folder(tmp_path):
  path = str(tmp_path / 'x.h5')
  with h5py.File(path, 'w') as file:
    for name in (
      'conv2d_7/conv2d_7_1/kernel:0',  # made unique by TensorFlow 1
      'conv2d_9/conv2d_9/kernel:0',
      'inner/conv2d_3/kernel:0',
      'inner/scope/conv2d_4/kernel:0',
    ):
      file[name] = np.zeros(2, np.float32)
  tensors, _ = readers.read(path)
  assert sorted(tensors) == [
    'conv2d_0/kernel',
    'conv2d_1/kernel',
    'inner/conv2d_0/kernel',
    'inner/conv2d_1/kernel',
  ]

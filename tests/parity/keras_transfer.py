"""Fine-tunes in Keras, for transfer.py.

  python -m tests.parity.keras_transfer start SETTINGS.json
  python -m tests.parity.keras_transfer train SETTINGS.json

`start` saves the weights that every training starts from: the trained ones of
'package', and a new classifier. `train` fine-tunes them on 'arrays', and prints
a line of JSON: of each epoch 'train_loss' and 'images_per_sec', of the test
images 'loss', 'top1' and 'count', the number of 'parameters' trained, whether
XLA compiled ('jit'), and the first 'logits' of 'few' of them. The other
settings are those of `transfer_setup.settings`.
"""

import json
import os
import pathlib
import re
import sys
import time

os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'

import keras
import numpy as np
import tensorflow as tf

from tests.parity import trained_weights

_FIRST = re.compile('^(conv2d|batch_normalization)$')


class _Epochs(keras.callbacks.Callback):
  """Times each epoch, without the evaluation after it."""

  def __init__(self, images: int):
    super().__init__()
    self._images = images
    self.images_per_sec = []

  def on_epoch_begin(self, epoch, logs=None):
    self._begin = time.perf_counter()

  def on_epoch_end(self, epoch, logs=None):
    speed = self._images / (time.perf_counter() - self._begin)
    self.images_per_sec.append(speed)
    print(
      f'epoch {epoch + 1} of {self.params["epochs"]}, '
      f'loss {logs["loss"]:.4f}, {speed:.1f} images/s',
      file=sys.stderr,
      flush=True,
    )


def network(settings: dict) -> keras.Model:
  """Returns keras.applications' network, with one logit for each class."""
  size = settings['size']
  return keras.applications.InceptionV3(
    weights=None,
    input_shape=(size, size, 3),
    classes=settings['classes'],
    classifier_activation=None,
  )


def start(settings: dict) -> None:
  """Saves the weights of the start, where the settings name their file."""
  keras.utils.set_random_seed(settings['seed'])
  keras.utils.clear_session()
  model = network(settings)
  arrays = trained_weights.read(pathlib.Path(settings['package']))
  for layer in model.layers:
    # Keras does not number the first of a kind.
    name = _FIRST.sub(r'\1_0', layer.name)
    for weight in layer.weights:
      if name != 'predictions':
        weight.assign(arrays.pop(f'{name}/{weight.name}'))
  assert not arrays, list(arrays)
  model.save_weights(settings['weights'])


def trainable(settings: dict) -> keras.Model:
  """Returns the network to train, on uint8 images.

  BatchNorm layers are frozen everywhere: that is what keeps their statistics.
  The argument training=False, which Keras's guides give to the body, is without
  effect in `fit` (3.15: the outer model passes its own training=True on).
  """
  full = network(settings)
  full.load_weights(settings['weights'])
  body = keras.Model(full.input, full.get_layer('avg_pool').output)
  names = [layer.name for layer in body.layers]
  if last := settings['frozen_to']:
    for i, layer in enumerate(body.layers):
      layer.trainable = i > names.index(last) and not isinstance(
        layer, keras.layers.BatchNormalization
      )
  else:
    body.trainable = False
  images = keras.Input(full.input.shape[1:], dtype='uint8')
  x = keras.layers.Rescaling(1 / 127.5, -1)(images)
  x = body(x, training=False)
  return keras.Model(images, full.get_layer('predictions')(x))


def train(settings: dict) -> dict:
  """Fine-tunes on the batches of our side, in their order."""
  arrays = {
    name: np.load(path, mmap_mode='r')
    for name, path in settings['arrays'].items()
  }
  images, labels = arrays['train_images'], arrays['train_labels']
  epochs, batch_size = settings['epochs'], settings['batch_size']
  batches = len(images) // batch_size

  def stream():
    for i in range(0, batches * batch_size, batch_size):
      yield images[i : i + batch_size], labels[i : i + batch_size]

  dataset = tf.data.Dataset.from_generator(
    stream,
    output_signature=(
      tf.TensorSpec((batch_size, *images.shape[1:]), tf.uint8),
      tf.TensorSpec((batch_size,), tf.int32),
    ),
  ).prefetch(tf.data.AUTOTUNE)
  model = trainable(settings)
  test = arrays['test_images'], arrays['test_labels']
  first = model.predict(test[0][: settings['few']], verbose=0)
  model.compile(
    optimizer=keras.optimizers.SGD(
      settings['rate'], momentum=settings['momentum']
    ),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=['accuracy'],
    jit_compile=settings['jit'],
  )
  timed = _Epochs(batches // epochs * batch_size)
  history = model.fit(
    dataset,
    epochs=epochs,
    steps_per_epoch=batches // epochs,
    callbacks=[timed],
    verbose=0,
  )
  loss, top1 = model.evaluate(*test, batch_size=batch_size, verbose=0)
  return {
    'jit': model.jit_compile,
    'parameters': sum(int(np.prod(w.shape)) for w in model.trainable_weights),
    'logits': first.tolist(),
    'train_loss': history.history['loss'],
    'images_per_sec': timed.images_per_sec,
    'loss': loss,
    'top1': top1,
    'count': len(test[0]),
  }


def main(what: str, path: str) -> None:
  settings = json.loads(pathlib.Path(path).read_text())
  if what == 'start':
    start(settings)
  else:
    print(json.dumps(train(settings)))


if __name__ == '__main__':
  main(*sys.argv[1:])

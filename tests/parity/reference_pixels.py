"""Resizes and crops images with another library; pixels.py starts it.

Runs without JAX in the environments of tests/parity/requirements-*.txt.
"""

import argparse
import os
import sys
import types

import numpy as np


def opencv(inputs):
  import cv2

  yield 'version', cv2.__version__
  for key, image in inputs.items():
    if key.startswith('image_'):
      height, width = map(int, inputs[key.replace('image', 'size')])
      flag = cv2.INTER_LINEAR
      resized = cv2.resize(image, (width, height), interpolation=flag)
      yield key, resized.reshape(height, width, -1)


def mindspore(inputs):
  """The evaluation of mindspore-ai/models and MindCV, until Normalize."""
  import mindspore
  from mindspore.dataset import vision

  yield 'version', mindspore.__version__
  resize = vision.Resize(int(inputs['shorter']))
  crop = vision.CenterCrop(int(inputs['side']))
  yield 'jpeg', inputs['jpeg']
  yield 'of_jpeg', crop(resize(vision.Decode()(inputs['jpeg'])))
  for key, image in inputs.items():
    if key.startswith('crop_'):
      yield key, crop(resize(image))


def slim(inputs):
  """The evaluation of research/slim: the network's input, float32 in −1…1."""
  os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
  import tensorflow.compat.v1 as tf

  # The package imports TensorFlow 1 as `tensorflow`.
  sys.modules['tensorflow'] = tf
  tf.contrib = types.SimpleNamespace()
  from preprocessing import inception_preprocessing

  side = int(inputs['side'])
  evaluate = lambda image: inception_preprocessing.preprocess_for_eval(
    tf.convert_to_tensor(image), side, side
  )
  yield 'version', tf.__version__
  yield 'jpeg', inputs['jpeg']
  # As slim.tfexample_decoder.Image, which the datasets of research/slim use.
  yield 'of_jpeg', evaluate(tf.image.decode_jpeg(inputs['jpeg'].tobytes(), 3))
  for key, image in inputs.items():
    if key.startswith('crop_'):
      yield key, evaluate(image)


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--package', choices=('opencv', 'mindspore', 'slim'))
  parser.add_argument('--inputs')
  parser.add_argument('--out')
  args = parser.parse_args()
  with np.load(args.inputs) as inputs:
    results = globals()[args.package](dict(inputs))
    np.savez_compressed(args.out, **{k: np.asarray(v) for k, v in results})


if __name__ == '__main__':
  main()

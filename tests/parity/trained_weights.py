"""Inception-v3 with trained weights, which the npm package nsfwjs ships.

A classifier of photographs for content moderation, in TensorFlow.js's format of
a Keras model, with eight bits a weight (MIT License, Infinite Red). Its config
marks the layers up to mixed_6c as frozen: they have the weights that its
authors started from.
"""

import base64
import json
import math
import pathlib
import re
import subprocess

import numpy as np

# Prints the weights' entries as a line of JSON, then their bytes in base64.
_PROGRAM = """\
const [group] = require('./model.min.js').weightsManifest;
console.log(JSON.stringify(group.weights));
const shards = group.paths.map(name => require(`./${name}.min.js`));
const bytes = shards.map(text => Buffer.from(text, 'base64'));
console.log(Buffer.concat(bytes).toString('base64'));
"""
_LAYER = re.compile(r'(conv2d|batch_normalization)_(\d+)/(\w+)')


def read(package: pathlib.Path) -> dict[str, np.ndarray]:
  """Reads the weights below the classifier, of the unpacked package.

  Returns:
    'conv2d_0/kernel', 'batch_normalization_0/beta' and so on → float32, layers
    numbered from 0 in the order of their creation.
  """
  done = subprocess.run(
    ['node', '--eval', _PROGRAM],
    cwd=package / 'dist' / 'models' / 'inception_v3',
    stdout=subprocess.PIPE,
    check=True,
  )
  entries, content = done.stdout.splitlines()
  return dequantized(json.loads(entries), content)


def dequantized(entries: list[dict], content: bytes) -> dict[str, np.ndarray]:
  """Returns the named arrays, without the classifier's.

  Args:
    entries: of TensorFlow.js's manifest: name, shape, and the scale and the
      minimum that make values of bytes.
    content: the bytes of all of them, one after the other, in base64.
  """
  levels = np.frombuffer(base64.b64decode(content), np.uint8)
  arrays, at = {}, 0
  for entry in entries:
    quantization, size = entry['quantization'], math.prod(entry['shape'])
    assert quantization['dtype'] == 'uint8', entry
    values = levels[at : at + size].reshape(entry['shape'])
    at += size
    if match := _LAYER.fullmatch(entry['name']):
      kind, number, variable = match.groups()
      arrays[f'{kind}_{int(number) - 1}/{variable}'] = values * np.float32(
        quantization['scale']
      ) + np.float32(quantization['min'])
  assert at == len(levels), (at, len(levels))
  return arrays

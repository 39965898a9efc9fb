"""Measures accuracy, size and speed of every export format.

ONNX is compared with timm's own export of the same network.
"""

import functools
import logging
import os
import tempfile

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import timing
from inception_jax.export import artifact
from inception_jax.export import comparison
from inception_jax.export import formats
from inception_jax.export import mindir
from inception_jax.export import onnx_file
from inception_jax.models import card as card_lib
from inception_jax.models import factory
from inception_jax.weights import exporter
from inception_jax.weights.convert import Weights

log = logging.getLogger(__name__)

_CLASSES = 1000
_ONNX, _TIMM, _MINDIR = 'onnx', 'timm', 'mindir'


def measure(config, rounds: int, torch: str, mindspore: str) -> list[dict]:
  """Exports a network with initial weights; runs every format on 8 images.

  `torch` is a Python interpreter with torch and timm; `mindspore` is one with
  mindspore, to export MINDIR, or ''.

  Returns:
    A row for each format: 'network', 'format', the differences that
    `comparison.compare` returns, 'bytes', 'times_parameters' (bytes relative to
    those of the float32 parameters) and the median 'images_per_sec'. For ONNX,
    'times_timm' is the speed relative to timm's ONNX, 'versions' the peer's.
  """
  config = factory.resolve(config)
  number = config.model.num_classes or _CLASSES
  model = factory.build(config, number)
  card = card_lib.from_config(config.data)
  shape = (1, *card.image_shape)
  variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros(shape))
  weights = Weights(
    'initial weights', factory.network_config(config, number), card, variables
  )
  images = comparison.normalize(card)
  rows, runners = {}, {}
  with tempfile.TemporaryDirectory() as folder:
    for name in formats.LOADED:
      log.info('exporting to %s; a full network takes a minute', name)
      path = os.path.join(folder, name + formats.FORMATS[name].ending)
      runners[name] = formats.FORMATS[name].save(weights, path, 0)
      rows[name] = _row(weights, name, path, runners[name])
    path = os.path.join(folder, 'timm.onnx')
    rows[_ONNX]['versions'] = timing.run_peer(
      torch, 'timm_onnx.py', config.model.name, path
    )
    seconds = _alternate(runners, images, rounds)
    # The two ONNX files are compared in rounds of their own: idle threads of
    # other formats' runtimes spin and slow down whatever runs next.
    pair = {_ONNX: runners[_ONNX], _TIMM: onnx_file.load(path, trust=True)}
    compared = _alternate(pair, images, rounds)
    if mindspore:
      path = os.path.join(folder, 'network.mindir')
      weights = exporter.without_aux(weights)
      logits, seconds[_MINDIR] = mindir.save(
        weights, path, 0, mindspore, images, rounds
      )
      rows[_MINDIR] = _row(weights, _MINDIR, path, lambda _: {'logits': logits})
  for name, row in rows.items():
    median = float(np.median(seconds[name]))
    row['images_per_sec'] = round(len(images) / median, 2)
  ratio = compared[_TIMM] / compared[_ONNX]
  rows[_ONNX]['times_timm'] = timing.median(ratio, 3)
  return list(rows.values())


def _row(weights: Weights, name: str, path: str, run) -> dict:
  size, params = artifact.size_of(path), dict(weights.variables['params'])
  params.pop('aux', None)
  parameters = sum(x.nbytes for x in jax.tree.leaves(params))
  return {
    'network': weights.network.name,
    'format': name,
    **comparison.compare(weights, run),
    'bytes': size,
    'times_parameters': round(size / parameters, 4),
    'times_timm': None,
    'versions': None,
  }


def _alternate(runners, images, rounds: int) -> dict[str, np.ndarray]:
  """Returns the seconds that each runner takes in each round."""
  for run in runners.values():
    run(images)  # compiles
  sides = {
    name: functools.partial(timing.seconds, run, images)
    for name, run in runners.items()
  }
  return timing.alternate(sides, rounds)

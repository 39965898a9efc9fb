"""Every format that a network is exported to: how exact, how large, how fast.

As ONNX, beside timm's own export of the same network.
"""

import json
import logging
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

import jax
import jax.numpy as jnp
import numpy as np

from inception_jax.export import artifact
from inception_jax.export import comparison
from inception_jax.export import mindir
from inception_jax.export import onnx_file
from inception_jax.models import card as card_lib
from inception_jax.models import factory
from inception_jax.weights import exporter
from inception_jax.weights.convert import Weights

log = logging.getLogger(__name__)

_BASELINE = pathlib.Path(__file__).parent / 'peers' / 'timm_onnx.py'

_CLASSES = 1000

_ONNX, _TIMM = 'onnx', 'timm'


def measure(config, rounds: int, torch: str, mindspore: str) -> list[dict]:
  """Exports a network that is as it begins, and runs it on 8 images in turns.

  Args:
    config: the whole config.
    rounds: turns of each format.
    torch: a Python that has torch and timm.
    mindspore: one that has mindspore and mindcv, for a MINDIR of the networks
      that MindCV has; '' for none.

  Returns:
    A row for each format: 'network', 'format', what `compare.compare` finds,
    'bytes', 'times_parameters', those over the parameters' in float32, and
    'images_per_sec'; of ONNX 'times_timm', its speed over that of timm's,
    and 'versions' there.
  """
  config = factory.resolve(config)
  number = config.model.num_classes or _CLASSES
  model = factory.build(config, number)
  card = card_lib.of(config)
  shape = (1, card.input_size, card.input_size, len(card.mean))
  variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros(shape))
  weights = Weights(
    'its beginning', factory.describe(config, number), card, variables
  )
  images = comparison.normalised(card)
  rows, sides = {}, {}
  with tempfile.TemporaryDirectory() as folder:
    for name in artifact.FORMATS:
      log.info('exporting to %s; a full network takes a minute', name)
      path = os.path.join(folder, name + artifact.ENDINGS[name])
      artifact.save(weights, path, name, 0)
      sides[name] = artifact.load(path).classify
      rows[name] = _row(weights, name, path, sides[name])
    path = os.path.join(folder, 'timm.onnx')
    rows[_ONNX]['versions'] = _timm(torch, config.model.name, path)
    seconds = _turns(sides, images, rounds)
    # The two that are compared have turns of their own: the others' threads
    # wait for more in vain, and take the time of whoever comes next.
    pair = {_ONNX: sides[_ONNX], _TIMM: onnx_file.load(path)[0]}
    compared = _turns(pair, images, rounds)
    if mindspore and config.model.name in mindir.NETWORKS:
      path = os.path.join(folder, mindir.FORMAT + mindir.ENDING)
      own = exporter.without_aux(weights)
      logits, seconds[mindir.FORMAT] = mindir.save(
        own, path, 0, mindspore, images, rounds
      )
      rows[mindir.FORMAT] = _row(own, mindir.FORMAT, path, lambda _: logits)
  for name, row in rows.items():
    median = statistics.median(seconds[name])
    row['images_per_sec'] = round(len(images) / median, 2)
  ratios = np.divide(compared[_TIMM], compared[_ONNX])
  rows[_ONNX]['times_timm'] = round(float(np.median(ratios)), 3)
  return list(rows.values())


def _row(weights: Weights, name: str, path: str, classify) -> dict:
  size = artifact.size_of(path)
  return {
    'network': weights.model['name'],
    'format': name,
    **comparison.compare(weights, classify),
    'bytes': size,
    'times_parameters': round(
      size / _parameters(weights.variables['params']), 4
    ),
    'times_timm': None,
    'versions': None,
  }


def _turns(sides, images, rounds: int) -> dict[str, list[float]]:
  """Seconds that each side takes, in each round."""
  for classify in sides.values():
    classify(images)  # compiles
  seconds = {name: [] for name in sides}
  for i in range(rounds):
    log.info('round %d of %d', i + 1, rounds)
    # There and back, so that none is always the one after another.
    for name, classify in list(sides.items())[:: -1 if i % 2 else 1]:
      begin = time.perf_counter()
      classify(images)
      seconds[name].append(time.perf_counter() - begin)
  return seconds


def _parameters(params) -> int:
  """Bytes of what an inference needs: not the auxiliary head."""
  own = {name: value for name, value in params.items() if name != 'aux'}
  return sum(x.nbytes for x in jax.tree.leaves(own))


def _timm(python: str, name: str, path: str) -> dict:
  done = subprocess.run(
    [python, _BASELINE, name, path], capture_output=True, text=True
  )
  if done.returncode:
    raise RuntimeError(f'timm failed:\n{done.stderr[-2000:]}')
  return json.loads(done.stdout.splitlines()[-1])

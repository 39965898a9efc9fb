"""MINDIR: MindSpore's file of a network, made and run by mindspore itself.

mindspore needs an environment of its own. There MindCV's network is given our
weights, is exported, loaded back and run (mindcv_side.py). BatchNorm stays what
it is; the batch is any.
"""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import numpy as np

from inception_jax.errors import RunError
from inception_jax.export import metadata
from inception_jax.weights import exporter
from inception_jax.weights.convert import Weights

FORMAT, ENDING = 'mindir', '.mindir'

NETWORKS = ('inception_v3', 'inception_v4')  # that MindCV has

BOUND = 1e-3  # as of the others in float32

_SIDE = pathlib.Path(__file__).parent / 'mindcv_side.py'

# Seconds of a small 3×3 convolution.
_PROBE = """
import time
import mindspore as ms
ms.set_device('CPU')
conv, images = ms.nn.Conv2d(64, 64, 3), ms.ops.ones((2, 64, 73, 73))
conv(images).asnumpy()
begin = time.perf_counter()
conv(images).asnumpy()
print(time.perf_counter() - begin)
"""

_HAS_BOTH = """
import importlib.util, sys
sys.exit(not all(map(importlib.util.find_spec, ('mindspore', 'mindcv'))))
"""


def missing(python: str) -> str:
  """Why `python` cannot export; '' where it can."""
  makes = '`make .venv-mindspore/ready` makes one'
  try:
    done = subprocess.run([python, '-c', _HAS_BOTH], capture_output=True)
  except OSError:
    return f'is no Python: {makes} that has mindspore and mindcv'
  return f'has no mindspore and mindcv: {makes}' if done.returncode else ''


def environment(python: str) -> dict[str, str]:
  """What mindspore is to run with, not to be a hundred times as slow.

  The oneDNN of mindspore 2.10 has no 3×3 convolution for the AVX-512 of some
  CPUs by AMD, and takes its reference in place of that for AVX2.
  """
  isa = 'ONEDNN_MAX_CPU_ISA'
  if isa in os.environ:
    return dict(os.environ)
  done = subprocess.run(
    [python, '-c', _PROBE],
    stdin=subprocess.DEVNULL,
    capture_output=True,
    text=True,
  )
  try:
    slow = float(done.stdout.split()[-1]) > 0.5
  except (IndexError, ValueError):
    slow = False  # what runs next will say why
  return {**os.environ, isa: 'AVX2'} if slow else dict(os.environ)


def save(
  weights: Weights,
  path: str,
  step: int,
  python: str,
  images: np.ndarray,
  rounds: int = 0,
) -> tuple[np.ndarray, list[float]]:
  """Writes a network, with all that is known of it, and runs what is written.

  Args:
    weights: of a network that MindCV has, without an auxiliary head.
    path: of the file.
    step: that the weights are of.
    python: one that has mindspore and mindcv.
    images: float32 [B, S, S, C], normalised.
    rounds: how often to run all of the images in one batch, for its time.

  Returns:
    float32 [B, N], the logits of `images`, the first alone in its batch; the
    seconds of each round.

  Raises:
    UserError: MindCV has no such network.
    RunError: mindspore failed.
  """
  with tempfile.TemporaryDirectory() as folder:
    inside = lambda name: os.path.join(folder, name)
    exporter.save(weights, inside('weights.ckpt'), 'mindcv')
    np.save(inside('images.npy'), images.transpose(0, 3, 1, 2))
    asked = {
      'network': weights.model['name'],
      'num_classes': weights.model['num_classes'],
      'key': metadata.KEY,
      'says': metadata.describe(weights, weights.variables, step),
      'rounds': rounds,
    }
    with open(inside('asked.json'), 'w') as file:
      json.dump(asked, file)
    done = subprocess.run(
      [python, _SIDE, folder],
      env=environment(python),
      capture_output=True,
      text=True,
    )
    if done.returncode:
      raise RunError(f'mindspore failed:\n{done.stderr[-2000:].strip()}')
    # A copy, since mindspore lets nobody but its owner read what it writes.
    shutil.copyfile(inside('network.mindir'), path)
    with open(inside('seconds.json')) as file:
      return np.load(inside('logits.npy')), json.load(file)

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

from inception_jax import weights as weights_lib
from inception_jax.artifacts import about
from inception_jax.config import RunError
from inception_jax.weights import Weights

FORMAT, ENDING = 'mindir', '.mindir'
BOUND = 1e-3  # as of the others in float32
_SIDE = pathlib.Path(__file__).parent / 'mindcv_side.py'
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


def save(
  weights: Weights, path: str, step: int, python: str, images: np.ndarray
) -> np.ndarray:
  """Writes a network, with all that is known of it, and runs what is written.

  Args:
    weights: of a network that MindCV has, without an auxiliary head.
    path: of the file.
    step: that the weights are of.
    python: one that has mindspore and mindcv.
    images: float32 [B, S, S, C], normalised.

  Returns:
    float32 [B, N], the logits of `images`, the first alone in its batch.

  Raises:
    UserError: MindCV has no such network.
    RunError: mindspore failed.
  """
  with tempfile.TemporaryDirectory() as folder:
    inside = lambda name: os.path.join(folder, name)
    weights_lib.save(weights, inside('weights.ckpt'), 'mindcv')
    np.save(inside('images.npy'), images.transpose(0, 3, 1, 2))
    asked = {
      'network': weights.model['name'],
      'num_classes': weights.model['num_classes'],
      'key': about.KEY,
      'says': about.describe(weights, weights.variables, step),
    }
    with open(inside('asked.json'), 'w') as file:
      json.dump(asked, file)
    done = subprocess.run(
      [python, _SIDE, folder], capture_output=True, text=True
    )
    if done.returncode:
      raise RunError(f'mindspore failed:\n{done.stderr[-2000:].strip()}')
    # A copy, since mindspore lets nobody but its owner read what it writes.
    shutil.copyfile(inside('network.mindir'), path)
    return np.load(inside('logits.npy'))

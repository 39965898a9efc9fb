"""MINDIR: MindSpore's format of networks, written and run by mindspore.

mindspore needs a Python environment of its own. mindcv_side.py loads our
weights into MindCV's network there, exports it, and loads and runs the file.
BatchNorm is not folded; the batch is any.
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

_SIDE = pathlib.Path(__file__).parent / 'mindcv_side.py'
# A program on the command line would import modules from the working folder.
_SAFE_PATH = """
import sys
sys.path[:] = filter(None, sys.path)
"""
# Prints the seconds that a small 3×3 convolution takes.
_PROBE = f"""{_SAFE_PATH}
import time
import mindspore as ms
ms.set_device('CPU')
conv, images = ms.nn.Conv2d(64, 64, 3), ms.ops.ones((2, 64, 73, 73))
conv(images).asnumpy()
begin = time.perf_counter()
conv(images).asnumpy()
print(time.perf_counter() - begin)
"""
_HAS_BOTH = f"""{_SAFE_PATH}
import importlib.util
sys.exit(not all(map(importlib.util.find_spec, ('mindspore', 'mindcv'))))
"""


def cannot_export(python: str) -> str:
  """Returns why the interpreter `python` cannot export; '' if it can."""
  hint = '`make .venv-mindspore/ready` creates one with mindspore and mindcv'
  try:
    done = subprocess.run([python, '-c', _HAS_BOTH], capture_output=True)
  except OSError:
    return f'is not a Python interpreter; {hint}'
  return f'lacks mindspore or mindcv; {hint}' if done.returncode else ''


def environment(python: str) -> dict[str, str]:
  """Returns the environment variables to run mindspore with.

  On AVX-512 CPUs of AMD, the oneDNN of mindspore 2.10 may use its reference
  3×3 convolution, a hundred times as slow as that for AVX2. If a convolution
  is that slow here, $ONEDNN_MAX_CPU_ISA selects AVX2, unless it is set.
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
    slow = False  # whatever is run next reports the reason
  return {**os.environ, isa: 'AVX2'} if slow else dict(os.environ)


def save(
  weights: Weights,
  path: str,
  step: int,
  python: str,
  images: np.ndarray,
  rounds: int = 0,
) -> tuple[np.ndarray, list[float]]:
  """Writes a network as MINDIR, and runs the file.

  Args:
    weights: of a network that MindCV has, without an auxiliary head.
    path: of the file.
    step: of training.
    python: an interpreter with mindspore and mindcv.
    images: float32 [B, S, S, C], normalized.
    rounds: how often to time the file on all images in one batch.

  Returns:
    The logits of `images`, float32 [B, N], and the seconds of each round. The
    logits are from two batches, the first image and the others.

  Raises:
    UserError: MindCV does not have this network.
    RunError: mindspore failed.
  """
  with tempfile.TemporaryDirectory() as created:
    folder = pathlib.Path(created)
    exporter.save(weights, str(folder / 'weights.ckpt'), 'mindcv')
    np.save(folder / 'images.npy', images.transpose(0, 3, 1, 2))
    request = {
      'network': weights.network.name,
      'num_classes': weights.network.num_classes,
      'metadata_key': metadata.KEY,
      'metadata': metadata.to_json(weights, weights.variables, step),
      'rounds': rounds,
    }
    (folder / 'request.json').write_text(json.dumps(request))
    done = subprocess.run(
      [python, _SIDE, folder],
      env=environment(python),
      capture_output=True,
      text=True,
    )
    if done.returncode:
      raise RunError(f'mindspore failed:\n{done.stderr[-2000:].strip()}')
    # Copied, not moved: mindspore makes its file readable by the owner only.
    shutil.copyfile(folder / 'network.mindir', path)
    seconds = json.loads((folder / 'seconds.json').read_text())
    return np.load(folder / 'logits.npy'), seconds

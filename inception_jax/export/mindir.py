"""MINDIR and AIR: MindSpore's formats of networks, written by mindspore.

mindspore needs a Python environment of its own. mindspore_side.py builds our
network there, exports it, and loads and runs the file. An AIR can be made only
where an Ascend device is: what is written is that program with its input, and
the network is run as MINDIR.
"""

from collections.abc import Iterator
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import numpy as np

from inception_jax.errors import RunError
from inception_jax.export import metadata
from inception_jax.export import mindspore_network
from inception_jax.models import architectures
from inception_jax.models import fold
from inception_jax.weights import mindspore_file
from inception_jax.weights.convert import Weights

_SIDE = pathlib.Path(__file__).parent / 'mindspore_side.py'
_PROGRAM = 'export_air.py'
# What that reads, and the program.
_AIR = ('weights.ckpt', 'network.json', _PROGRAM)
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
_HAS = f"""{_SAFE_PATH}
import importlib.util
sys.exit(not all(map(importlib.util.find_spec, sys.argv[1:])))
"""


def cannot_export(python: str, *others: str) -> str:
  """Returns why the interpreter `python` cannot export; '' if it can.

  `others` are packages that it needs beside mindspore.
  """
  hint = '`make .venv-mindspore/ready` creates one with mindspore and mindcv'
  packages = ('mindspore', *others)
  try:
    done = subprocess.run([python, '-c', _HAS, *packages], capture_output=True)
  except OSError:
    return f'is not a Python interpreter; {hint}'
  return f'lacks {" or ".join(packages)}; {hint}' if done.returncode else ''


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
    weights: of a network without an auxiliary head.
    path: of the file.
    step: of training.
    python: an interpreter with mindspore.
    images: float32 [B, S, S, C], normalized.
    rounds: how often to time the file on all images in one batch.

  Returns:
    The logits of `images`, float32 [B, N], and the seconds of each round. The
    logits are from two batches, the first image and the others.

  Raises:
    RunError: mindspore failed.
  """
  with _exported(weights, step, python, images, rounds) as folder:
    # Copied, not moved: mindspore makes its file readable by the owner only.
    shutil.copyfile(folder / 'network.mindir', path)
    seconds = json.loads((folder / 'seconds.json').read_text())
    return np.load(folder / 'logits.npy'), seconds


def save_air(
  weights: Weights, path: str, step: int, python: str, images: np.ndarray
) -> np.ndarray:
  """Writes the folder that `export_air.py` in it makes an AIR of.

  For the arguments, see `save`.

  Returns:
    The logits of `images`, of the same network as MINDIR.

  Raises:
    RunError: mindspore failed.
  """
  with _exported(weights, step, python, images) as folder:
    os.mkdir(path)
    for name in _AIR:
      shutil.copyfile(folder / name, os.path.join(path, name))
    return np.load(folder / 'logits.npy')


@contextlib.contextmanager
def _exported(
  weights: Weights,
  step: int,
  python: str,
  images: np.ndarray,
  rounds: int = 0,
) -> Iterator[pathlib.Path]:
  """Yields a temporary folder with what mindspore_side.py reads and writes."""
  model, variables = fold.fold(
    architectures.create(weights.network), weights.variables, portable=True
  )
  stages, tensors = mindspore_network.describe(model, variables['params'])
  images = images.transpose(0, 3, 1, 2)
  request = {
    'stages': stages,
    'shape': images.shape[1:],
    'metadata_key': metadata.KEY,
    'metadata': metadata.to_json(weights, variables, step),
    'rounds': rounds,
  }
  with tempfile.TemporaryDirectory() as created:
    folder = pathlib.Path(created)
    mindspore_file.write(str(folder / 'weights.ckpt'), tensors)
    np.save(folder / 'images.npy', images)
    (folder / 'network.json').write_text(json.dumps(request))
    shutil.copyfile(_SIDE, folder / _PROGRAM)
    done = subprocess.run(
      [python, folder / _PROGRAM, 'MINDIR'],
      env=environment(python),
      capture_output=True,
      text=True,
    )
    if done.returncode:
      raise RunError(f'mindspore failed:\n{done.stderr[-2000:].strip()}')
    yield folder

"""Writes what the packages of the FID make of small images.

  make parity-pixels   # or, for golden/pixels-fid.npz alone:
  .venv-torch/bin/python -m tests.parity.fid_pixels

Of each file, it has the network's input in each mode of inception_jax.fid, by
the package that the mode is named after: its own reading, resizing and
normalizing, and every 23rd pixel in both directions.
"""

import io
import pathlib
import sys
import tempfile
import types
from unittest import mock

import numpy as np
from PIL import Image

from tests.parity import pixels

PATH = pathlib.Path(__file__).parent / 'golden' / 'pixels-fid.npz'
STRIDE = 23
MODES = ('legacy_tensorflow', 'legacy_pytorch', 'clean')


def files() -> dict[str, np.ndarray]:
  """Returns files by name, as uint8: up, down, JPEG, grey, …"""
  grey = Image.fromarray(pixels.image(25, 31, 1)[..., 0])
  alpha = Image.fromarray(
    np.dstack([pixels.image(33, 30), pixels.image(33, 30, 1)])
  )
  found = {
    'small.png': Image.fromarray(pixels.image(29, 41)),
    'tall.png': Image.fromarray(pixels.image(450, 25)),
    'photo.jpg': Image.fromarray(pixels.image(61, 46)),
    'grey.png': grey,
    'alpha.png': alpha,
    'palette.png': Image.fromarray(pixels.image(20, 28)).quantize(16),
  }
  return {name: _encoded(name, image) for name, image in found.items()}


def _encoded(name: str, image: Image.Image) -> np.ndarray:
  file = io.BytesIO()
  options = {'quality': 85} if name.endswith('.jpg') else {}
  image.save(
    file, Image.registered_extensions()[pathlib.Path(name).suffix], **options
  )
  return np.frombuffer(file.getvalue(), np.uint8)


class _Seen(Exception):
  """The first layer was called, with this."""


def _stop(x):
  raise _Seen(x)


def legacy_tensorflow(path: str) -> np.ndarray:
  """torch-fidelity's."""
  import torch
  from torch_fidelity import datasets
  from torch_fidelity import feature_extractor_inceptionv3 as extractor

  with (
    mock.patch.object(torch, 'load'),
    mock.patch.object(torch.nn.Module, 'load_state_dict'),
  ):
    model = extractor.FeatureExtractorInceptionV3('x', ['64'], 'none')
  model.Conv2d_1a_3x3.forward = _stop
  return _input(model, datasets.ImagesPathDataset([path])[0])


def legacy_pytorch(path: str) -> np.ndarray:
  """pytorch-fid's."""
  from pytorch_fid import fid_score
  from torchvision import transforms

  from tests.parity import fid_networks

  model = fid_networks.features(fid_networks.fid_inception_v3())
  model.blocks[0].forward = _stop
  dataset = fid_score.ImagePathDataset([path], transforms.ToTensor())
  return _input(model, dataset[0])


def clean(path: str) -> np.ndarray:
  """clean-fid's, whose network is a TorchScript file."""
  from cleanfid import inception_torchscript
  from cleanfid import utils
  import torch

  layers = types.SimpleNamespace(forward=_stop)
  base = types.SimpleNamespace(layers=layers)
  base.eval = lambda: base
  with mock.patch.object(torch.jit, 'load', lambda path: base):
    model = inception_torchscript.InceptionV3W('.', download=False)
  return _input(model, utils.ResizeDataset([path], 'clean')[0])


def _input(model, image) -> np.ndarray:
  """Returns what the first layer is given of an image: float32 [S, S, 3]."""
  try:
    model(image[None])
  except _Seen as seen:
    return seen.args[0][0].numpy().transpose(1, 2, 0)
  raise RuntimeError('the first layer was not called')


def main():
  found = files()
  results = {}
  with tempfile.TemporaryDirectory() as folder:
    for name, content in found.items():
      path = pathlib.Path(folder, name)
      path.write_bytes(content.tobytes())
      for mode in MODES:
        pixels_of = globals()[mode](str(path))
        results[f'{mode}/{name}'] = pixels_of[::STRIDE, ::STRIDE]
  np.savez_compressed(PATH, **found, **results)
  print(PATH, file=sys.stderr)


if __name__ == '__main__':
  main()

"""Files of the Inception of the Fréchet inception distance; see torch_files.py.

The published files are pytorch-fid's, also used by torch-fidelity, and
TensorFlow's; these have the same layout, and weights by formula.
"""

import numpy as np
import torch
from torch import nn

from tests.parity import fid_networks
from tests.parity import torch_files
from tests.support import graph_2015

SIZE = 299  # torch-fidelity resizes to it


def network() -> nn.Module:
  return torch_files.fill(fid_networks.fid_inception_v3())


def _save(model, folder) -> str:
  tensors = {k: x for k, x in model.state_dict().items() if x.ndim}
  return torch_files.save(tensors, folder)


def _of(model):
  """Returns pixels → the outputs of a module that prepares them."""

  def apply(pixels):
    with torch.no_grad():
      outputs = model(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()))
    return [output.numpy().reshape(len(pixels), -1) for output in outputs]

  return apply


def pytorch_fid(folder):
  model = network()
  return _save(model, folder), model


def pytorch_fid_module(folder):
  """The module that computes the features, which has no classifier."""
  model = fid_networks.features(network())
  apply = _of(model)
  scaled = lambda pixels: apply(pixels.astype(np.float32) / 255)
  return torch_files.save_state(model, folder), scaled


def torch_fidelity(folder):
  """Its extractor reads the file itself, and has the graph's mean and σ."""
  from torch_fidelity import feature_extractor_inceptionv3 as extractor

  path = _save(network(), folder)
  make = extractor.FeatureExtractorInceptionV3
  model = make('inception', ['2048', 'logits'], path)
  return path, _of(model), {'mean': (128.0,) * 3, 'std': (128.0,) * 3}


def graph(folder):
  definition = graph_2015.graph_def(SIZE)
  path = folder / 'classify_image_graph_def.pb'
  path.write_bytes(definition.SerializeToString())
  outputs = graph_2015.FEATURES, graph_2015.LOGITS
  return str(path), lambda pixels: [
    graph_2015.run(definition, pixels, output) for output in outputs
  ]


KINDS = {
  'pytorch-fid': pytorch_fid,
  "pytorch-fid's module": pytorch_fid_module,
  'torch-fidelity': torch_fidelity,
  "TensorFlow's graph of 2015": graph,
}

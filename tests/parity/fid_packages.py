"""pytorch-fid, torch-fidelity and clean-fid, as their users call them.

  .venv-torch/bin/python -m tests.parity.fid_packages pytorch-fid \
      --weights=x.pth --real=A --fake=B --output=DIR

A process of its own for each, started by fid.py. Their networks' weights come
from a file in place of the published one, and their features are kept:
DIR/features.npz has those of both folders, DIR/stats.npz the statistics of the
real one as the package writes them, and the last line is JSON of the scores and
the speed of all batches but each folder's first: images a second, and this
process's CPU time, to which other programs matter less.
"""

import argparse
import json
import pathlib
import time
from unittest import mock
import warnings

import numpy as np
import torch
from torch import nn

from tests.parity import fid_networks
from tests.parity import formula

SEED = 2020
SUBSETS = 20
_DIMENSION = 2048


def random_network() -> nn.Module:
  """Returns the network, with features that differ as those of trained ones.

  Weights depend on their names: kernels at He's scale, BatchNorm near identity.
  """
  network = fid_networks.fid_inception_v3()
  for name, tensor in network.state_dict().items():
    random, shape = formula.random_of(name), tuple(tensor.shape)
    ending = name.rpartition('.')[2]
    if tensor.ndim > 1:
      values = random.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
    elif tensor.ndim == 1:
      centre = {'running_var': 1.0, 'weight': 1.0}.get(ending, 0.0)
      values = centre + random.uniform(-0.25, 0.25, shape)
    else:
      continue
    tensor.copy_(torch.from_numpy(values.astype(np.float32)))
  return network.eval()


def _loaded(path: str) -> nn.Module:
  network = fid_networks.fid_inception_v3()
  network.load_state_dict(torch.load(path, weights_only=True))
  return network.eval()


class _Timed:
  """Times a network's calls; a folder's first one is not counted."""

  def __init__(self):
    self._ends, self._images, self._seconds = None, 0, np.zeros(2)

  def new_folder(self) -> None:
    self._ends = None

  def wrap(self, forward):
    def timed(*args, **options):
      output = forward(*args, **options)
      now = np.array([time.perf_counter(), time.process_time()])
      if self._ends is not None:
        self._images += len(output[0] if isinstance(output, tuple) else output)
        self._seconds += now - self._ends
      self._ends = now
      return output

    return timed

  def result(self) -> dict[str, float]:
    wall, cpu = self._seconds
    return {
      'images_per_second': self._images / wall,
      'cpu_seconds_per_image': cpu / self._images,
    }


def pytorch_fid(weights, real, fake, batch_size, output):
  from pytorch_fid import fid_score
  from pytorch_fid import inception

  kept, timed = [], _Timed()
  state = torch.load(weights, weights_only=True)
  extract = fid_score.get_activations

  def activations(files, model, *args):
    timed.new_folder()
    forward = model.forward
    timed_forward = timed.wrap(lambda x: tuple(forward(x)))
    with mock.patch.object(model, 'forward', timed_forward):
      kept.append(extract(files, model, *args))
    return kept[-1]

  load = mock.patch.object(
    inception, 'load_state_dict_from_url', lambda *_, **__: state
  )
  arguments = batch_size, torch.device('cpu'), _DIMENSION, 2
  with load, mock.patch.object(fid_score, 'get_activations', activations):
    fid = fid_score.calculate_fid_given_paths([real, fake], *arguments)
  again = mock.patch.object(fid_score, 'get_activations', lambda *_: kept[0])
  with load, again:
    path = str(output / 'stats.npz')
    fid_score.save_fid_stats([real, path], *arguments)
  return kept, {'fid': fid}, timed


def torch_fidelity(weights, real, fake, batch_size, output):
  from torch_fidelity import calculate_metrics
  from torch_fidelity import feature_extractor_inceptionv3 as extractors
  from torch_fidelity import utils

  kept, timed = [], _Timed()
  extract = utils.get_featuresdict_from_dataset

  def features(*args):
    timed.new_folder()
    kept.append(extract(*args))
    return kept[-1]

  extractor = extractors.FeatureExtractorInceptionV3
  forward = timed.wrap(extractor.forward)
  with (
    mock.patch.object(utils, 'get_featuresdict_from_dataset', features),
    mock.patch.object(extractor, 'forward', forward),
  ):
    found = calculate_metrics(
      input1=fake,
      input2=real,
      **{'fid': True, 'isc': True, 'cuda': False, 'cache': False},
      feature_extractor='inception-v3-compat',
      feature_extractor_weights_path=weights,
      samples_find_ext='jpg,jpeg,png',
      batch_size=batch_size,
      rng_seed=SEED,
      verbose=False,
    )
  del output
  logits = [x['logits_unbiased'].numpy() for x in kept]
  scores = {'fid': found['frechet_inception_distance']}
  scores['is'] = found['inception_score_mean']
  pooled = [x['2048'].numpy() for x in kept]
  return [*pooled[::-1], logits[0]], scores, timed


def clean_fid(weights, real, fake, batch_size, output):
  import cleanfid
  from cleanfid import fid
  from cleanfid import inception_torchscript

  kept, timed = [], _Timed()
  network = fid_networks.features(_loaded(weights))
  script(network).save(str(output / 'inception-2015-12-05.pt'))
  make = inception_torchscript.InceptionV3W
  ours = lambda *_, **options: make(
    str(output), **options | {'download': False}
  )
  extract = fid.get_folder_features

  def features(*args, **options):
    timed.new_folder()
    kept.append(extract(*args, **options))
    return kept[-1]

  forward = timed.wrap(fid.get_batch_features)
  with (
    mock.patch('cleanfid.features.InceptionV3W', ours),
    mock.patch.object(fid, 'get_folder_features', features),
    mock.patch.object(fid, 'get_batch_features', forward),
    mock.patch.object(cleanfid, '__file__', str(output / 'x')),
  ):
    options = {'mode': 'clean', 'device': torch.device('cpu')}
    options |= {'num_workers': 2, 'batch_size': batch_size, 'verbose': False}
    value = fid.compute_fid(real, fake, **options)
    again = lambda *_, **__: kept[0]
    with mock.patch.object(fid, 'get_folder_features', again):
      fid.make_custom_stats('real', real, **options)
  (written,) = (output / 'stats').glob('real_clean_custom_na.npz')
  written.rename(output / 'stats.npz')
  return kept, {'fid': value}, timed


def script(network: nn.Module) -> torch.jit.ScriptModule:
  """Returns a network in the form of NVIDIA's inception-2015-12-05.pt."""

  class Base(nn.Module):
    def __init__(self):
      super().__init__()
      blocks = nn.Sequential(*network.blocks)
      example = torch.zeros(2, 3, 299, 299)
      self.layers = torch.jit.trace(blocks.eval(), example)

    def forward(self, x, return_features: bool = False):
      return self.layers(x)

  return torch.jit.script(Base())


PACKAGES = {
  'pytorch-fid': pytorch_fid,
  'torch-fidelity': torch_fidelity,
  'clean-fid': clean_fid,
}


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('package', choices=PACKAGES)
  for name in ('weights', 'real', 'fake'):
    parser.add_argument(f'--{name}', required=True)
  parser.add_argument('--output', required=True, type=pathlib.Path)
  parser.add_argument('--batch_size', type=int, default=16)
  args = parser.parse_args()
  # Of scipy and torch, on what the packages call.
  warnings.simplefilter('ignore')
  features, scores, timed = PACKAGES[args.package](
    args.weights, args.real, args.fake, args.batch_size, args.output
  )
  arrays = dict(zip(('real', 'fake', 'logits'), features, strict=False))
  np.savez(args.output / 'features.npz', **arrays)
  print(json.dumps({**scores, **timed.result()}))


if __name__ == '__main__':
  main()

"""pytorch-fid's networks, without the weights that it downloads."""

from unittest import mock

from pytorch_fid import inception
import torch


def fid_inception_v3() -> torch.nn.Module:
  """Returns the network: normalized images → 1008 logits."""
  download = mock.patch.object(inception, 'load_state_dict_from_url')
  load = mock.patch.object(torch.nn.Module, 'load_state_dict')
  with download, load:
    return inception.fid_inception_v3()


def features(network: torch.nn.Module) -> torch.nn.Module:
  """Returns the module that computes features of images in [0, 1]."""
  make = mock.patch.object(inception, 'fid_inception_v3', lambda: network)
  with make:
    return inception.InceptionV3().eval()

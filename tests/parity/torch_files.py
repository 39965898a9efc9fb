"""Imports weights as torch's users save them, and compares the networks.

  .venv-torch/bin/python -m tests.parity.torch_files

Each file is written by the real packages: timm's CheckpointSaver,
huggingface_hub's shards, torch.compile, nn.DataParallel. The imported network's
features or logits are compared with the module's, relative to the largest.
Prints a table; the exit status is 1 if a difference exceeds its bound.
"""

import argparse
import copy
import dataclasses
import functools
import os
import pathlib
import sys
import tempfile

import jax
import numpy as np
import safetensors.torch
import timm
import torch
from torch import nn
import torchvision

from inception_jax.errors import UserError
from inception_jax.models import architectures
from inception_jax.weights import importer
from tests.parity import formula

SIZE = 75
BOUND = 1e-5
CLASSES = 5


def fill(model: nn.Module) -> nn.Module:
  """Gives a module weights by formula."""
  state = model.state_dict()
  for name, tensor in state.items():
    if tensor.ndim:
      value = formula.tensor(name, tuple(tensor.shape), oihw=True)
      tensor.copy_(torch.from_numpy(value))
  return model.eval()


def torchvision_v3(num_classes=CLASSES, aux_logits=False):
  return fill(
    torchvision.models.inception_v3(
      num_classes=num_classes, aux_logits=aux_logits, init_weights=False
    )
  )


def timm_network(name, num_classes=CLASSES):
  return fill(timm.create_model(name, num_classes=num_classes))


def save(content, folder, name='x.pth') -> str:
  torch.save(content, folder / name)
  return str(folder / name)


def save_state(model, folder, name='x.pth') -> str:
  return save(model.state_dict(), folder, name)


class Wrapper(nn.Module):
  """A module of a user's, as of Lightning: a network, and a loss's weights."""

  def __init__(self, network, attribute='model', **others):
    super().__init__()
    setattr(self, attribute, network)
    self.criterion = nn.CrossEntropyLoss(weight=torch.ones(CLASSES))
    self.register_buffer('train_acc_tp', torch.zeros(CLASSES).long())
    for name, module in others.items():
      setattr(self, name, module)


def timm_checkpoint(folder):
  """What timm's train.py writes, with a moving average."""
  model = timm_network('inception_v3')
  average = timm.utils.ModelEmaV3(copy.deepcopy(model))
  with torch.no_grad():
    for parameter in model.parameters():
      parameter.add_(1)
  optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
  args = argparse.Namespace(model='inception_v3', lr=np.float64(0.1))
  saver = timm.utils.CheckpointSaver(
    model,
    optimizer,
    args=args,
    model_ema=average,
    checkpoint_dir=str(folder),
    recovery_dir=str(folder),
  )
  saver.save_checkpoint(3, metric=np.float32(71.5))
  return str(folder / 'last.pth.tar'), average.module


def parameters(folder):
  """Parameters, which require gradients, beside buffers."""
  model = torchvision_v3()
  tensors = dict(model.named_parameters()) | dict(model.named_buffers())
  return save(tensors, folder), model


def compiled(folder):
  model = torchvision_v3()
  wrapped = nn.DataParallel(torch.compile(model))
  assert 'module._orig_mod.fc.bias' in wrapped.state_dict()
  return save({'net': wrapped.state_dict(), 'epoch': 3}, folder), model


def half(folder, dtype=torch.float16):
  model = torchvision_v3().to(dtype)
  return save_state(model, folder, 'x.bin'), model.float()


def bfloat16(folder):
  model = timm_network('inception_v3').to(torch.bfloat16)
  path = str(folder / 'x.safetensors')
  safetensors.torch.save_file(model.state_dict(), path)
  return path, model.float()


def shards(folder):
  from huggingface_hub import save_torch_state_dict

  model = timm_network('inception_v3')
  save_torch_state_dict(
    model.state_dict(), folder, max_shard_size='30MB', safe_serialization=True
  )
  assert len(list(folder.glob('*.safetensors'))) > 2
  return str(folder / 'model.safetensors.index.json'), model


def head_of(folder, head, name='fc'):
  model = torchvision_v3()
  model.fc = nn.Identity()
  setattr(model, name, fill(head))
  path = save_state(model, folder, 'x.pt')
  features = copy.deepcopy(model)
  features.fc = nn.Identity()
  return path, nn.Sequential(features, head)


def head_in_sequential(folder):
  return head_of(folder, nn.Sequential(nn.Dropout(), nn.Linear(2048, CLASSES)))


def head_of_other_name(folder):
  return head_of(folder, nn.Linear(2048, CLASSES), 'fc_new')


def one_output(folder):
  return head_of(folder, nn.Linear(2048, 1))


def two_layers(folder):
  head = nn.Sequential(nn.Linear(2048, 64), nn.ReLU(), nn.Linear(64, CLASSES))
  path, network = head_of(folder, head)
  return path, network[0]


def without_classifier(folder, name='inception_v3'):
  model = timm_network(name, num_classes=0)
  return save_state(model, folder), model


def lightning(folder):
  model = torchvision_v3()
  content = {
    'epoch': 1,
    'state_dict': Wrapper(model).state_dict(),
    'optimizer_states': [{}],
    'hyper_parameters': {'lr': 0.1},
    'pytorch-lightning_version': '2.6.0',
  }
  return save(content, folder, 'x.ckpt'), model


def radimagenet(folder):
  """The network's children in a Sequential, without their names."""
  model = torchvision_v3()
  classifier = nn.Sequential(nn.Dropout(), model.fc)
  children = nn.Sequential(*list(model.children())[:-1])
  wrapped = Wrapper(children, 'backbone', classifier=classifier)
  return save_state(wrapped, folder), model


def children(folder, name='inception_v3'):
  model = timm_network(name)
  body = nn.Sequential(*list(model.children())[:-1])
  return save_state(body, folder), fill_head(model)


def fill_head(model):
  model.reset_classifier(0)
  return model


def other_aux_head(folder):
  """Only the main classifier has been replaced."""
  model = torchvision_v3(num_classes=1000, aux_logits=True)
  model.fc = fill(nn.Linear(2048, CLASSES))
  return save_state(model, folder), model


KINDS = {
  "timm's train.py, with state_dict_ema": timm_checkpoint,
  'parameters that require gradients': parameters,
  'DataParallel of torch.compile': compiled,
  'float16, .bin': half,
  'bfloat16, safetensors': bfloat16,
  "huggingface_hub's shards": shards,
  'fc.1.*': head_in_sequential,
  'fc_new.*': head_of_other_name,
  'one output': one_output,
  'two layers on top': two_layers,
  'timm inception_v3, num_classes=0': without_classifier,
  'timm inception_v4, num_classes=0': functools.partial(
    without_classifier, name='inception_v4'
  ),
  'timm inception_resnet_v2, num_classes=0': functools.partial(
    without_classifier, name='inception_resnet_v2'
  ),
  "Lightning's .ckpt": lightning,
  'Sequential of children, its classifier': radimagenet,
  'Sequential of children, inception_v3': children,
  'Sequential of children, inception_v4': functools.partial(
    children, name='inception_v4'
  ),
  'Sequential of children, inception_resnet_v2': functools.partial(
    children, name='inception_resnet_v2'
  ),
  "aux head of ImageNet's classes": other_aux_head,
}


@functools.cache
def _forward(network):
  return jax.jit(architectures.create(network).apply)


def outputs(weights, images) -> np.ndarray:
  """Returns the logits of imported weights, or features without a classifier.

  All heads share a compiled network.
  """
  variables = jax.tree.map(lambda x: x, weights.variables)
  head = variables['params'].pop('head', {'dense': None})['dense']
  variables['params'].pop('aux', None)
  variables['batch_stats'].pop('aux', None)
  network = dataclasses.replace(weights.network, num_classes=0, aux_head=False)
  features, _ = _forward(network)(variables, images)
  if head is None:
    return np.asarray(features)
  return np.asarray(features) @ head['kernel'] + head['bias']


def check(make, folder) -> tuple[str, float]:
  """Returns what was imported, and its relative difference."""
  path, module = make(folder)
  weights = importer.load(path)
  images = formula.images(2, SIZE)
  with torch.no_grad():
    nchw = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    expected = module.eval()(nchw).numpy()
  found = outputs(weights, images)
  assert found.shape == expected.shape, (found.shape, expected.shape)
  difference = np.abs(found - expected).max() / np.abs(expected).max()
  return f'{weights.origin}, {weights.network.num_classes}', float(difference)


def refused(content, name, folder) -> str:
  path = save(content, folder, name)
  try:
    importer.load(path)
  except UserError as error:
    (line,) = error.faults
    assert '\\x1b' not in line, line
    return line.replace(str(folder), '…')
  raise AssertionError('imported')


def main() -> int:
  wrong = 0
  print('| file | imported, classes | difference |\n|---|---|---|')
  for name, make in KINDS.items():
    with tempfile.TemporaryDirectory() as folder:
      origin, difference = check(make, pathlib.Path(folder))
      wrong += difference > BOUND
      print(f'| {name} | {origin} | {difference:.1e} |', flush=True)
  model = torchvision_v3()
  code = {'state_dict': {}, 'x': os.system}
  fid = torchvision_v3(num_classes=1008).state_dict()
  for content in (model, code, fid):
    with tempfile.TemporaryDirectory() as folder:
      line = refused(content, 'x.pth', pathlib.Path(folder))
      print(f'| {type(content).__name__} | refused: {line} | |')
  return bool(wrong)


if __name__ == '__main__':
  sys.exit(main())

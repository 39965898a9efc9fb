"""Weights as torch's users save them.

Each file is written by the real packages: timm's CheckpointSaver, Lightning's
Trainer, huggingface_hub's shards, torch.compile, nn.DataParallel. A maker
writes a file into a folder and returns its path, and the module whose features
or logits it must give; weight_files.py calls them.
"""

import argparse
import copy
import functools
import warnings

import numpy as np
import safetensors.torch
import timm
import torch
from torch import nn
import torchvision

from tests.parity import formula

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
  """A module of a user's: a network, a loss's weights, a metric's counts."""

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
  """What a Trainer saves after a step."""
  import pytorch_lightning as pl

  class Module(pl.LightningModule):
    def __init__(self, rate):
      super().__init__()
      self.save_hyperparameters()
      self.model = torchvision_v3()
      self.criterion = nn.CrossEntropyLoss(weight=torch.ones(CLASSES))

    def configure_optimizers(self):
      return torch.optim.SGD(self.parameters(), self.hparams.rate, momentum=0.9)

    def training_step(self, batch, index):
      return self.criterion(self.model(batch[0]), batch[1])

  images = torch.from_numpy(formula.images(2, 75).transpose(0, 3, 1, 2).copy())
  module = Module(1e-6)
  with warnings.catch_warnings():
    warnings.simplefilter('ignore')  # of Lightning about itself
    trainer = pl.Trainer(
      accelerator='cpu',
      max_steps=1,
      default_root_dir=folder,
      enable_checkpointing=False,
      enable_model_summary=False,
      enable_progress_bar=False,
      logger=False,
    )
    records = list(zip(images, (0, 1), strict=True))
    trainer.fit(module, torch.utils.data.DataLoader(records, batch_size=2))
    trainer.save_checkpoint(folder / 'x.ckpt')
  return str(folder / 'x.ckpt'), module.model


def radimagenet(folder):
  """The network's children in a Sequential, without their names."""
  model = torchvision_v3()
  classifier = nn.Sequential(nn.Dropout(), model.fc)
  children = nn.Sequential(*list(model.children())[:-1])
  wrapped = Wrapper(children, 'backbone', classifier=classifier)
  return save_state(wrapped, folder), model


def backbone(folder):
  """As of a user's module with a projection head, such as SimCLR's."""
  model = torchvision_v3()
  model.fc = nn.Identity()
  wrapped = Wrapper(model, 'backbone', projector=nn.Linear(2048, 128))
  return save_state(wrapped, folder), model


def backbone_in_sequential(folder):
  """The backbone is the first of a Sequential: backbone.0.*"""
  model = timm_network('inception_v3', num_classes=0)
  wrapped = Wrapper(nn.Sequential(model, nn.Flatten()), 'backbone')
  return save_state(wrapped, folder), model


def timm_channels(channels):
  return fill(
    timm.create_model('inception_v3', num_classes=CLASSES, in_chans=channels)
  )


def grey(folder):
  model = timm_channels(1)
  return save_state(model, folder, 'x.pth.tar'), model


def children(folder, name='inception_v3'):
  model = timm_network(name)
  body = nn.Sequential(*list(model.children())[:-1])
  model.reset_classifier(0)
  return save_state(body, folder), model


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
  'timm num_classes=0': without_classifier,
  "Lightning's .ckpt": lightning,
  'backbone.*, projector.*': backbone,
  'backbone.0.*': backbone_in_sequential,
  'timm in_chans=1': grey,
  'Sequential of children, its classifier': radimagenet,
  'Sequential of children': children,
  "aux head of ImageNet's classes": other_aux_head,
}
# They take longer.
OTHER_NETWORKS = {
  f'{name}, {network}': functools.partial(make, name=network)
  for name, make in (
    ('timm num_classes=0', without_classifier),
    ('Sequential of children', children),
  )
  for network in ('inception_v4', 'inception_resnet_v2')
}

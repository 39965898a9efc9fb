"""Networks of timm, torchvision, pytorch-fid and pytorch-cifar100."""

import importlib
import sys

import cases
import formula
import torch


class Torch:
  """A network of a package, or of a clone of weiaicunzai/pytorch-cifar100."""

  oihw = True

  def __init__(self, case, size, clone):
    aux_head = case.aux_head and size == cases.FULL
    torch.manual_seed(0)
    if case.source == 'timm':
      import timm

      aux = {'aux_logits': aux_head} if case.aux_head else {}
      model = timm.create_model(
        case.network, num_classes=cases.NUM_CLASSES, **aux
      )
    elif case.source == 'torchvision':
      import torchvision

      model = torchvision.models.inception_v3(
        num_classes=cases.NUM_CLASSES,
        aux_logits=aux_head,
        init_weights=False,
        dropout=0.0,
      )
    elif case.source == 'pytorch-fid':
      import fid_networks

      model = fid_networks.fid_inception_v3()
      model.dropout.p = 0.0
    else:
      model = self._weiaicunzai(case.network, clone)
    self._model = model
    self.tensors = {
      name: tuple(tensor.shape)
      for name, tensor in model.state_dict().items()
      if not name.endswith('num_batches_tracked')
    }

  def _weiaicunzai(self, network, clone):
    sys.path.insert(0, clone)
    if network == 'cifar_inception_v3':
      module = importlib.import_module('models.inceptionv3')
      model = module.InceptionV3(num_classes=cases.NUM_CLASSES)
    else:
      module = importlib.import_module('models.inceptionv4')
      if network == 'cifar_inception_v4':
        model = module.InceptionV4(4, 7, 3, class_nums=cases.NUM_CLASSES)
        # Its pooling window of 7 fits only the feature map of 32×32 images.
        model.avgpool = torch.nn.AdaptiveAvgPool2d((1, 1))
      else:
        model = module.InceptionResNetV2(5, 10, 5, class_nums=cases.NUM_CLASSES)
    model.dropout.p = 0.0
    return model

  def load(self, tensors):
    tensors = {k: torch.from_numpy(v) for k, v in tensors.items()}
    missing = self._model.load_state_dict(tensors, strict=False)
    assert all(n.endswith('num_batches_tracked') for n in missing.missing_keys)
    assert not missing.unexpected_keys

  def load_file(self, path):
    from safetensors.torch import load_file

    self._model.load_state_dict(load_file(path), strict=True)

  def save(self, path):
    if path.endswith('.safetensors'):
      from safetensors.torch import save_file

      save_file(self._model.state_dict(), path)
    else:
      torch.save(self._model.state_dict(), path)

  def _input(self, images):
    return torch.from_numpy(images.transpose(0, 3, 1, 2).copy())

  def evaluate(self, images):
    with torch.no_grad():
      out = self._model.eval()(self._input(images))
    return (out[0] if isinstance(out, tuple) else out).numpy()

  def fit(self, name, size):
    """Returns the loss of each step that training.py compares."""
    kernels = [p for p in self._model.parameters() if p.ndim > 1]
    others = [p for p in self._model.parameters() if p.ndim <= 1]
    groups = [
      {'params': kernels, 'weight_decay': cases.WEIGHT_DECAY},
      {'params': others, 'weight_decay': 0.0},
    ]
    rate = cases.RATES[name]
    if name == 'sgd':
      optimizer = torch.optim.SGD(groups, rate, momentum=0.9)
    else:
      from timm.optim import RMSpropTF

      optimizer = RMSpropTF(groups, rate, alpha=0.9, eps=1.0, momentum=0.9)
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=cases.SMOOTHING)
    self._model.train()
    losses = []
    for step in range(cases.STEPS):
      batch = cases.training_batch(size)
      images, labels = formula.training_batch(batch, size, step)
      labels = torch.from_numpy(labels).long()
      out = self._model((self._input(images).float() - 127.5) / 127.5)
      logits, aux = out if isinstance(out, tuple) else (out, None)
      loss = total = loss_of(logits, labels)
      if aux is not None:
        total = loss + cases.AUX_LOSS_WEIGHT * loss_of(aux, labels)
      optimizer.zero_grad()
      total.backward()
      optimizer.step()
      losses.append(loss.item())
    return losses

  def train(self, images, labels):
    out = self._model.train()(self._input(images))
    logits, aux = out if isinstance(out, tuple) else (out, None)
    labels = torch.from_numpy(labels).long()
    cross_entropy = torch.nn.functional.cross_entropy
    loss = cross_entropy(logits, labels)
    if aux is not None:
      loss = loss + cases.AUX_LOSS_WEIGHT * cross_entropy(aux, labels)
    loss.backward()
    gradients = {
      name: parameter.grad.numpy()
      for name, parameter in self._model.named_parameters()
    }
    aux = aux if aux is None else aux.detach().numpy()
    return logits.detach().numpy(), aux, gradients

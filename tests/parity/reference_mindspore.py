"""Networks of MindCV and mindspore-ai/models."""

import importlib
import sys

import cases
import mindspore as ms


class MindSpore:
  """A network of MindCV, or of a clone of mindspore-ai/models."""

  oihw = True

  def __init__(self, case, size, clone):
    ms.set_device('CPU')
    self.aux_head = case.aux_head and size == cases.FULL
    if case.source == 'mindcv':
      # `mindcv.create_model` always adds the auxiliary head of v3.
      name = case.network.replace('_', '')
      module = importlib.import_module(f'mindcv.models.{name}')
      make = getattr(module, name.replace('i', 'I', 1).replace('v', 'V'))
      aux = {'aux_logits': self.aux_head} if case.aux_head else {}
      model = make(num_classes=cases.NUM_CLASSES, drop_rate=0.0, **aux)
    else:
      model = self._mindspore_models(case.network, clone)
    self._model = model
    self._parameters = {p.name: p for p in model.get_parameters()}
    self.tensors = {k: tuple(p.shape) for k, p in self._parameters.items()}

  def _mindspore_models(self, network, clone):
    folder = f'{clone}/official/cv/Inception/{network.replace("_", "")}/src'
    sys.path.insert(0, folder)
    if network == 'inception_v3':
      module = importlib.import_module('inception_v3')
      return module.InceptionV3(
        cases.NUM_CLASSES, is_training=self.aux_head, dropout_keep_prob=1.0
      )
    module = importlib.import_module('inceptionv4')
    return module.Inceptionv4(classes=cases.NUM_CLASSES, is_train=False)

  def load(self, tensors):
    for name, parameter in self._parameters.items():
      parameter.set_data(ms.Tensor(tensors[name]))

  def load_file(self, path):
    if path.endswith('.mindir'):
      self._model = ms.nn.GraphCell(ms.load(path))
      return
    tensors = ms.load_checkpoint(path)
    assert tensors.keys() == self._parameters.keys()
    missing = ms.load_param_into_net(self._model, tensors, strict_load=True)
    assert missing == ([], []), missing

  def save(self, path):
    ms.save_checkpoint(self._model, path)

  def _input(self, images):
    return ms.Tensor(images.transpose(0, 3, 1, 2).copy())

  def evaluate(self, images):
    self._model.set_train(False)
    out = self._model(self._input(images))
    out = out[0] if isinstance(out, tuple) else out
    return out.asnumpy()

  def train(self, images, labels):
    model = self._model
    model.set_train(True)
    labels = ms.Tensor(labels)

    def forward(images):
      out = model(images)
      logits, aux = out if isinstance(out, tuple) else (out, None)
      loss = ms.ops.cross_entropy(logits, labels)
      if aux is not None:
        loss = loss + cases.AUX_LOSS_WEIGHT * ms.ops.cross_entropy(aux, labels)
      return loss, logits, logits if aux is None else aux

    trainable = model.trainable_params()
    grad = ms.value_and_grad(forward, None, trainable, has_aux=True)
    (_, logits, aux), gradients = grad(self._input(images))
    gradients = {
      parameter.name: gradient.asnumpy()
      for parameter, gradient in zip(trainable, gradients, strict=True)
    }
    return (
      logits.asnumpy(),
      aux.asnumpy() if self.aux_head else None,
      gradients,
    )

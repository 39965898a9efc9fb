"""The other side: the real packages, with weights by formula.

  python tests/parity/foreign.py --out=DIR --case=timm-inception_v3 --size=139

Writes DIR/CASE-SIZE.npz: the logits in evaluation and in training (batch
statistics), the auxiliary logits where there are any, a projection and the
norm of the loss's gradient for each parameter, and the names and shapes of
all tensors. With --save it writes DIR/CASE-SIZE.SUFFIX, too: the file that
the framework itself makes of these weights. Runs without jax, in the
environment of tests/parity/requirements.txt.
"""

import argparse
import importlib
import json
import os
import re
import sys

import numpy as np

sys.path.insert(0, os.path.dirname(__file__))

import cases
import formula

AUX_LOSS_WEIGHT = 0.4
_FIRST = re.compile('^(conv2d|batch_normalization)$')


class Torch:
  """timm, torchvision, and weiaicunzai/pytorch-cifar100 from a clone."""

  oihw = True

  def __init__(self, case, size, clone):
    import torch

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
    else:
      model = self._weiaicunzai(case.network, clone)
    self._torch, self._model = torch, model
    self.tensors = {
      name: tuple(tensor.shape)
      for name, tensor in model.state_dict().items()
      if not name.endswith('num_batches_tracked')
    }

  def _weiaicunzai(self, network, clone):
    import torch

    sys.path.insert(0, clone)
    if network == 'cifar_inception_v3':
      module = importlib.import_module('models.inceptionv3')
      model = module.InceptionV3(num_classes=cases.NUM_CLASSES)
    else:
      module = importlib.import_module('models.inceptionv4')
      if network == 'cifar_inception_v4':
        model = module.InceptionV4(4, 7, 3, class_nums=cases.NUM_CLASSES)
        # Its window of 7 is the grid of 32×32 images; other sizes need this.
        model.avgpool = torch.nn.AdaptiveAvgPool2d((1, 1))
      else:
        model = module.InceptionResNetV2(5, 10, 5, class_nums=cases.NUM_CLASSES)
    model.dropout.p = 0.0
    return model

  def load(self, tensors):
    tensors = {k: self._torch.from_numpy(v) for k, v in tensors.items()}
    missing = self._model.load_state_dict(tensors, strict=False)
    assert all(n.endswith('num_batches_tracked') for n in missing.missing_keys)
    assert not missing.unexpected_keys

  def save(self, path):
    if path.endswith('.safetensors'):
      from safetensors.torch import save_file

      save_file(self._model.state_dict(), path)
    else:
      self._torch.save(self._model.state_dict(), path)

  def _input(self, images):
    return self._torch.from_numpy(images.transpose(0, 3, 1, 2).copy())

  def evaluate(self, images):
    with self._torch.no_grad():
      out = self._model.eval()(self._input(images))
    return (out[0] if isinstance(out, tuple) else out).numpy()

  def train(self, images, labels):
    out = self._model.train()(self._input(images))
    logits, aux = out if isinstance(out, tuple) else (out, None)
    labels = self._torch.from_numpy(labels).long()
    cross_entropy = self._torch.nn.functional.cross_entropy
    loss = cross_entropy(logits, labels)
    if aux is not None:
      loss = loss + AUX_LOSS_WEIGHT * cross_entropy(aux, labels)
    loss.backward()
    gradients = {
      name: parameter.grad.numpy()
      for name, parameter in self._model.named_parameters()
    }
    aux = aux if aux is None else aux.detach().numpy()
    return logits.detach().numpy(), aux, gradients


class Keras:
  """keras.applications; names are 'layer/weight'."""

  oihw = False

  def __init__(self, case, size, clone):
    del clone
    os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
    import keras

    keras.utils.clear_session()
    make = {
      'inception_v3': keras.applications.InceptionV3,
      'inception_resnet_v2': keras.applications.InceptionResNetV2,
    }[case.network]
    self._model = make(
      weights=None,
      input_shape=(size, size, 3),
      classes=cases.NUM_CLASSES,
      classifier_activation=None,
    )
    self._weights = {
      # As files are read: the first of a kind has no number in Keras.
      _FIRST.sub(r'\1_0', layer.name) + f'/{weight.name}': weight
      for layer in self._model.layers
      for weight in layer.weights
    }
    self.tensors = {k: tuple(w.shape) for k, w in self._weights.items()}

  def load(self, tensors):
    for name, weight in self._weights.items():
      weight.assign(tensors[name])

  def save(self, path):
    if path.endswith('.weights.h5'):
      self._model.save_weights(path)
    else:
      self._model.save(path)

  def evaluate(self, images):
    return np.asarray(self._model(images, training=False))

  def train(self, images, labels):
    import tensorflow as tf

    with tf.GradientTape() as tape:
      logits = self._model(images, training=True)
      loss = tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
      )
    trainable = {k: w for k, w in self._weights.items() if w.trainable}
    gradients = tape.gradient(loss, [w.value for w in trainable.values()])
    gradients = map(np.asarray, gradients)
    return (
      np.asarray(logits),
      None,
      dict(zip(trainable, gradients, strict=True)),
    )


class Slim:
  """TF-slim: tensorflow/models, research/slim from a clone."""

  oihw = False

  def __init__(self, case, size, clone):
    os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
    import tensorflow.compat.v1 as tf
    import tf_slim as slim

    sys.path.insert(0, clone)
    utils = importlib.import_module('nets.inception_utils')
    make = getattr(
      importlib.import_module(f'nets.{case.network}'), case.network
    )
    aux_head = case.aux_head and size == cases.FULL
    graph = tf.Graph()
    with graph.as_default(), slim.arg_scope(utils.inception_arg_scope()):
      self._images = tf.placeholder(tf.float32, (cases.BATCH, size, size, 3))
      self._labels = tf.placeholder(tf.int32, (cases.BATCH,))

      def network(**kwargs):
        return make(
          self._images,
          num_classes=cases.NUM_CLASSES,
          dropout_keep_prob=1.0,
          create_aux_logits=aux_head,
          **kwargs,
        )

      self._logits, points = network(is_training=True)
      self._aux = points['AuxLogits'] if aux_head else None
      self._evaluated, _ = network(is_training=False, reuse=True)
      loss = self._loss(tf, self._logits)
      if aux_head:
        loss += AUX_LOSS_WEIGHT * self._loss(tf, self._aux)
      trainable = tf.trainable_variables()
      names = [variable.op.name for variable in trainable]
      gradients = tf.gradients(loss, trainable)
      self._gradients = dict(zip(names, gradients, strict=True))
      self._variables = {v.op.name: v for v in tf.global_variables()}
      self._saver = tf.train.Saver(self._variables)
    self._session = tf.Session(graph=graph)
    self.tensors = {
      name: tuple(variable.shape.as_list())
      for name, variable in self._variables.items()
    }

  def _loss(self, tf, logits):
    return tf.reduce_mean(
      tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=self._labels, logits=logits
      )
    )

  def load(self, tensors):
    for name, variable in self._variables.items():
      variable.load(tensors[name], self._session)

  def save(self, path):
    self._saver.save(self._session, path, write_meta_graph=False)

  def evaluate(self, images):
    return self._session.run(self._evaluated, {self._images: images})

  def train(self, images, labels):
    wanted = {'logits': self._logits, 'gradients': self._gradients}
    if self._aux is not None:
      wanted['aux'] = self._aux
    got = self._session.run(
      wanted, {self._images: images, self._labels: labels}
    )
    return got['logits'], got.get('aux'), got['gradients']


class MindSpore:
  """MindCV, and mindspore-ai/models from a clone."""

  oihw = True

  def __init__(self, case, size, clone):
    import mindspore as ms

    ms.set_device('CPU')
    self.aux_head = case.aux_head and size == cases.FULL
    if case.source == 'mindcv':
      # Not its `create_model`, which always adds v3's auxiliary head.
      name = case.network.replace('_', '')
      module = importlib.import_module(f'mindcv.models.{name}')
      make = getattr(module, name.replace('i', 'I', 1).replace('v', 'V'))
      aux = {'aux_logits': self.aux_head} if case.aux_head else {}
      model = make(num_classes=cases.NUM_CLASSES, drop_rate=0.0, **aux)
    else:
      model = self._of_models(case.network, clone)
    self._ms, self._model = ms, model
    self._parameters = {p.name: p for p in model.get_parameters()}
    self.tensors = {k: tuple(p.shape) for k, p in self._parameters.items()}

  def _of_models(self, network, clone):
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
      parameter.set_data(self._ms.Tensor(tensors[name]))

  def save(self, path):
    self._ms.save_checkpoint(self._model, path)

  def _input(self, images):
    return self._ms.Tensor(images.transpose(0, 3, 1, 2).copy())

  def evaluate(self, images):
    self._model.set_train(False)
    out = self._model(self._input(images))
    out = out[0] if isinstance(out, tuple) else out
    return out.asnumpy()

  def train(self, images, labels):
    ms, model = self._ms, self._model
    model.set_train(True)
    labels = ms.Tensor(labels)

    def forward(images):
      out = model(images)
      logits, aux = out if isinstance(out, tuple) else (out, None)
      loss = ms.ops.cross_entropy(logits, labels)
      if aux is not None:
        loss = loss + AUX_LOSS_WEIGHT * ms.ops.cross_entropy(aux, labels)
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


SIDES = {
  'timm': Torch,
  'torchvision': Torch,
  'weiaicunzai': Torch,
  'keras': Keras,
  'slim': Slim,
  'mindcv': MindSpore,
  'mindspore': MindSpore,
}


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--out', required=True)
  parser.add_argument('--case', required=True)
  parser.add_argument('--size', type=int, required=True)
  parser.add_argument('--clone', default='', help='of the case, if it has one')
  parser.add_argument('--save', action='store_true')
  args = parser.parse_args()
  (case,) = [case for case in cases.CASES if case.name == args.case]

  side = SIDES[case.source](case, args.size, args.clone)
  side.load(
    {
      name: formula.tensor(name, shape, side.oihw)
      for name, shape in side.tensors.items()
    }
  )
  path = os.path.join(args.out, f'{case.name}-{args.size}')
  if args.save:
    side.save(path + case.suffix)
  images = formula.images(cases.BATCH, args.size)
  labels = formula.labels(cases.BATCH, cases.NUM_CLASSES)
  results = {'eval': side.evaluate(images)}
  results['train'], aux, gradients = side.train(images, labels)
  if aux is not None:
    results['aux'] = aux
  projections = {
    name: formula.projection(name, gradient)
    for name, gradient in gradients.items()
  }
  names = {name: list(shape) for name, shape in side.tensors.items()}
  np.savez_compressed(
    path + '.npz',
    **results,
    tensors=json.dumps(names),
    gradient_names=json.dumps(list(projections)),
    gradients=np.array(list(projections.values())),
  )


if __name__ == '__main__':
  main()

"""Runs another framework's network, with weights computed by formula.

  python tests/parity/reference.py --case=CASE --size=171 --out=FILE.npz

Writes the logits in evaluation and in training mode (batch statistics), the
auxiliary logits if there are any, a projection and the norm of the loss
gradient for each parameter, and the names and shapes of all tensors. With
--save=FILE it also saves the weights as the framework does. With --load=FILE it
loads weights, which must match exactly, and writes only the logits in
evaluation. With --optimizer=NAME it trains and writes only the losses. Runs
without JAX in the environments of tests/parity/requirements-*.txt;
tests/parity/run.py starts it.
"""

import argparse
import importlib
import json
import os
import sys

import numpy as np

sys.path.insert(0, os.path.dirname(__file__))

import cases
import formula

_CLASSES = {
  'timm': ('reference_torch', 'Torch'),
  'torchvision': ('reference_torch', 'Torch'),
  'weiaicunzai': ('reference_torch', 'Torch'),
  'pytorch-fid': ('reference_torch', 'Torch'),
  'keras': ('reference_keras', 'Keras'),
  'slim': ('reference_slim', 'Slim'),
  'mindcv': ('reference_mindspore', 'MindSpore'),
  'mindspore': ('reference_mindspore', 'MindSpore'),
}


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--out', required=True)
  parser.add_argument('--case', required=True)
  parser.add_argument('--size', type=int, required=True)
  parser.add_argument('--clone', default='', help='of the repository, if any')
  parser.add_argument('--save', default='')
  parser.add_argument('--load', default='')
  parser.add_argument('--optimizer', default='', help='only trains')
  args = parser.parse_args()
  case = cases.named(args.case)

  module, name = _CLASSES[case.source]
  make = getattr(importlib.import_module(module), name)
  reference = make(case, args.size, args.clone)
  images = formula.images(case.batch, args.size)
  if args.load:
    reference.load_file(args.load)
    np.savez_compressed(args.out, eval=reference.evaluate(images))
    return

  reference.load(
    {
      name: formula.tensor(name, shape, reference.oihw)
      for name, shape in reference.tensors.items()
    }
  )
  if args.save:
    reference.save(args.save)
  if args.optimizer:
    losses = reference.fit(args.optimizer, args.size)
    np.savez_compressed(args.out, losses=losses)
    return
  labels = formula.labels(case.batch, cases.NUM_CLASSES)
  results = {'eval': reference.evaluate(images)}
  results['train'], aux, gradients = reference.train(images, labels)
  if aux is not None:
    results['aux'] = aux
  projections = {
    name: formula.projection(name, gradient)
    for name, gradient in gradients.items()
  }
  names = {name: list(shape) for name, shape in reference.tensors.items()}
  np.savez_compressed(
    args.out,
    **results,
    tensors=json.dumps(names),
    gradient_names=json.dumps(list(projections)),
    gradients=np.array(list(projections.values())),
  )


if __name__ == '__main__':
  main()

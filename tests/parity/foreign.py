"""The other side: the real packages, with weights by formula.

  python tests/parity/foreign.py --case=timm-inception_v3 --size=171 --out=A.npz

Writes the logits in evaluation and in training (batch statistics), the
auxiliary logits where there are any, a projection and the norm of the loss's
gradient for each parameter, and the names and shapes of all tensors. With
--save=FILE it writes the file that the framework itself makes of the weights;
with --load=FILE the weights are that file's, all of them and no other, and the
logits in evaluation are all it writes; with --optimizer=NAME it trains and
writes the losses. Runs without jax, in the environments
of tests/parity/requirements-*.txt; tests/parity/run.py calls it.
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

SIDES = {
  'timm': ('torch_side', 'Torch'),
  'torchvision': ('torch_side', 'Torch'),
  'weiaicunzai': ('torch_side', 'Torch'),
  'keras': ('keras_side', 'Keras'),
  'slim': ('slim_side', 'Slim'),
  'mindcv': ('mindspore_side', 'MindSpore'),
  'mindspore': ('mindspore_side', 'MindSpore'),
}


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--out', required=True)
  parser.add_argument('--case', required=True)
  parser.add_argument('--size', type=int, required=True)
  parser.add_argument('--clone', default='', help='of the case, if it has one')
  parser.add_argument('--save', default='')
  parser.add_argument('--load', default='')
  parser.add_argument('--optimizer', default='', help='trains, and no more')
  args = parser.parse_args()
  case = cases.named(args.case)

  module, side = SIDES[case.source]
  side = getattr(importlib.import_module(module), side)
  side = side(case, args.size, args.clone)
  images = formula.images(case.batch, args.size)
  if args.load:
    side.load_file(args.load)
    np.savez_compressed(args.out, eval=side.evaluate(images))
    return

  side.load(
    {
      name: formula.tensor(name, shape, side.oihw)
      for name, shape in side.tensors.items()
    }
  )
  if args.save:
    side.save(args.save)
  if args.optimizer:
    losses = side.fit(args.optimizer, args.size)
    np.savez_compressed(args.out, losses=losses)
    return
  labels = formula.labels(case.batch, cases.NUM_CLASSES)
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
    args.out,
    **results,
    tensors=json.dumps(names),
    gradient_names=json.dumps(list(projections)),
    gradients=np.array(list(projections.values())),
  )


if __name__ == '__main__':
  main()

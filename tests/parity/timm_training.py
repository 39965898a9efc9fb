"""Writes what timm computes in the parts of a training that are shared with it.

  .venv-torch/bin/python -m tests.parity.timm_training

tests/golden/timm_training.json then has the order of `RepeatAugSampler`, the
rates of `DropPath` by depth and what it does to a residual branch, losses of
`BinaryCrossEntropy`, and the parameters after steps of `Lamb`. The tests of
each part compare with it, so that they need no torch.
"""

import json
import pathlib

import numpy as np
from timm.data.distributed_sampler import RepeatAugSampler
from timm.data.mixup import mixup_target
from timm.layers import drop
from timm.loss import BinaryCrossEntropy
from timm.optim import Lamb
import torch

GOLDEN = pathlib.Path(__file__).parents[1] / 'golden' / 'timm_training.json'


def sampler() -> dict:
  """Returns the images of an epoch, in the order of the global batches."""
  size, replicas, repeats = 12, 2, 3
  ranks = [
    list(
      RepeatAugSampler(
        range(size), replicas, rank, False, repeats, selected_round=0
      )
    )
    for rank in range(replicas)
  ]
  order = [image for images in zip(*ranks, strict=True) for image in images]
  return {'size': size, 'repeats': repeats, 'order': order}


def drop_path() -> dict:
  """Returns the rates of 40 blocks, and the factors on a branch at rate 0.2."""
  torch.manual_seed(0)
  branches = drop.DropPath(0.2).train()(torch.ones(64, 2, 2, 3))
  kept = branches[:, 0, 0, 0]
  assert (branches == kept[:, None, None, None]).all()  # drawn per image
  return {
    'rates': drop.calculate_drop_path_rates(0.05, 40),
    'factors_at_0.2': sorted(set(kept.tolist())),
  }


def losses() -> dict:
  """Returns the losses of mixed targets, mean over the batch."""
  rng = np.random.default_rng(0)
  logits = rng.normal(size=(4, 6)).astype(np.float32)
  labels, lam = torch.tensor([0, 3, 3, 5]), 0.85
  cases = [
    {'smoothing': s, 'threshold': t, 'sum': is_sum}
    for s in (0.0, 0.1)
    for t in (0.0, 0.2)
    for is_sum in (False, True)
  ]
  for case in cases:
    targets = mixup_target(labels, 6, lam, case['smoothing'])
    loss = BinaryCrossEntropy(
      target_threshold=case['threshold'] or None, sum_classes=case['sum']
    )
    case['loss'] = float(loss(torch.tensor(logits), targets))
  # timm mixes with the batch in reverse.
  unsmoothed = mixup_target(labels, 6, lam)
  return {
    'logits': logits.tolist(),
    'targets': unsmoothed.tolist(),
    'cases': cases,
  }


def lamb() -> dict:
  """Returns gradients of three steps, and a kernel and a bias after each."""
  rng = np.random.default_rng(1)
  draw = lambda *shape: rng.normal(size=shape).astype(np.float32)
  params = {'kernel': draw(3, 4), 'bias': draw(4)}
  # The norm of the first is above 1, of the others below: one is clipped.
  grads = [
    {'kernel': scale * draw(3, 4), 'bias': scale * draw(4)}
    for scale in (3.0, 0.1, 0.02)
  ]
  kernel, bias = (
    torch.nn.Parameter(torch.tensor(params[k])) for k in ('kernel', 'bias')
  )
  optimizer = Lamb(
    [
      {'params': [kernel], 'weight_decay': 0.02},
      {'params': [bias], 'weight_decay': 0.0},
    ],
    lr=0.05,
  )
  after = []
  for step in grads:
    kernel.grad, bias.grad = (torch.tensor(step[k]) for k in ('kernel', 'bias'))
    optimizer.step()
    after.append({'kernel': kernel.tolist(), 'bias': bias.tolist()})
  return {
    'learning_rate': 0.05,
    'weight_decay': 0.02,
    'params': {k: v.tolist() for k, v in params.items()},
    'grads': [{k: v.tolist() for k, v in g.items()} for g in grads],
    'after': after,
  }


if __name__ == '__main__':
  parts = (sampler, drop_path, losses, lamb)
  values = {part.__name__: part() for part in parts}
  GOLDEN.write_text(json.dumps(values, indent=1) + '\n')

"""Parity with other frameworks, by golden files.

tests/parity/golden has the logits and gradients that other frameworks computed
for weights given by a formula; `make parity` runs those frameworks.
"""

import dataclasses

import numpy as np
import pytest

from inception_jax.errors import UserError
from inception_jax.models import architectures
from inception_jax.weights import convert
from tests.parity import cases
from tests.parity import compare

# Gradients take long to compile; `make parity` compares those of all cases.
WITH_GRADIENTS = ('timm-inception_v3', 'mindcv-inception_v4')


@pytest.mark.slow
@pytest.mark.parametrize('name', WITH_GRADIENTS)
def test_logits_and_gradients_agree(name):
  case = cases.named(name)
  with np.load(compare.golden_path(case)) as golden:
    weights = compare.weights_of(case, golden)
    found = compare.differences(case, weights, golden, case.golden)
  assert found['eval'] < cases.LOGITS
  assert found['train'] < cases.LOGITS
  assert found['gradient'] < cases.GRADIENTS


@pytest.mark.slow
@pytest.mark.parametrize(
  'name', [c.name for c in cases.CASES if c.name not in WITH_GRADIENTS]
)
def test_logits_agree(name):
  case = cases.named(name)
  with np.load(compare.golden_path(case)) as golden:
    weights = compare.weights_of(case, golden)
    found = compare.evaluation(case, weights, golden, case.golden)
  assert found < cases.LOGITS


@pytest.fixture
def transpose(monkeypatch):
  """Swaps the 1×7 and 7×1 kernels of one pair of convolutions in a block."""

  def apply(name, block):
    architecture = architectures.ARCHITECTURES[name]
    body = dict(architecture.body)
    branches = list(body[block].branches)
    branches[1] = tuple(
      dataclasses.replace(conv, kernel=conv.kernel[::-1])
      for conv in branches[1]
    )
    body[block] = dataclasses.replace(body[block], branches=tuple(branches))
    wrong = dataclasses.replace(architecture, body=tuple(body.items()))
    monkeypatch.setitem(architectures.ARCHITECTURES, name, wrong)

  return apply


def test_weights_do_not_fit_transposed_kernels(transpose):
  case = cases.named('timm-inception_v3')
  transpose(case.network, 'mixed_6b')
  with np.load(compare.golden_path(case)) as golden:
    with pytest.raises(UserError) as error:
      compare.weights_of(case, golden)
  _, *faults = error.value.faults
  assert [fault.strip() for fault in faults] == [
    'Mixed_6b.branch7x7_2.conv.weight: '
    "shape (1, 7, 128, 128) in flax's layout, expected (7, 1, 128, 128)",
    'Mixed_6b.branch7x7_3.conv.weight: '
    "shape (7, 1, 128, 192) in flax's layout, expected (1, 7, 128, 192)",
  ]


@pytest.mark.slow
def test_parity_detects_wrong_networks(transpose):
  case = cases.named('weiaicunzai-cifar_inception_v3')
  source, size = compare.source_of(case), case.golden
  with np.load(compare.golden_path(case)) as golden:
    tensors = compare.tensors(golden, source.style.oihw)
    correct = convert.to_weights(dict(tensors), source, '', 'file')
    assert correct.network.count_include_pad
    wrong = dataclasses.replace(correct.network, count_include_pad=False)
    wrong = dataclasses.replace(correct, network=wrong)
    assert compare.evaluation(case, wrong, golden, size) > 10 * cases.LOGITS

    # One of nine pairs is transposed, both in the network and in the file.
    transpose(case.network, 'mixed_6d')
    for name in ('branch7x7.1', 'branch7x7.2'):
      name = f'Mixed_6d.{name}.conv.weight'
      tensors[name] = tensors[name].swapaxes(2, 3)
    wrong = convert.to_weights(tensors, source, '', 'file')
    assert compare.evaluation(case, wrong, golden, size) > 10 * cases.LOGITS

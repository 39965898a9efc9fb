"""Tensors of other frameworks become variables, or a list of faults.

The golden files are written by tests/parity/reference.py, which calls the real
packages.
"""

import json

import numpy as np
import pytest

from inception_jax.errors import UserError
from inception_jax.weights import convert
from inception_jax.weights import matching
from inception_jax.weights import sources
from tests.parity import cases
from tests.parity import compare


def constant_tensors(case):
  """Returns the case's source, and a tensor of ones of each name and shape."""
  with np.load(compare.golden_path(case)) as file:
    shapes = json.loads(str(file['tensors']))
  one = np.float32(1)
  return compare.source_of(case), {
    name: np.broadcast_to(one, shape) for name, shape in shapes.items()
  }


@pytest.mark.slow
@pytest.mark.parametrize('case', cases.CASES, ids=lambda c: c.name)
def test_every_tensor_has_a_variable(case):
  source, tensors = constant_tensors(case)
  # torchvision's v3 and FID's have the names of timm's.
  same = ('torchvision', 'pytorch-fid')
  others = [s for s in sources.SOURCES if s.framework not in same]
  match, prefix = matching.match_source(tensors, others)
  if case.source not in same:
    assert (match, prefix) == (source, '')
  weights = convert.to_weights(dict(tensors), source, '', 'file')
  assert weights.network.num_classes == case.classes
  # A missing and an unexpected tensor are both reported.
  del tensors[name := next(iter(tensors))]
  tensors['stray.weight'] = np.zeros((2, 2), np.float32)
  with pytest.raises(UserError) as error:
    convert.to_weights(tensors, source, '', 'file')
  assert any(name in fault for fault in error.value.faults)
  assert any('stray.weight' in fault for fault in error.value.faults)


@pytest.mark.slow
@pytest.mark.parametrize(
  'name',
  [
    'slim-inception_v3',
    'mindspore-inception_v4',
    'mindcv-inception_v4',
    'weiaicunzai-cifar_inception_v4',
  ],
)
def test_every_framework_may_have_no_classifier(name):
  source, tensors = constant_tensors(cases.named(name))
  head = tuple(source.style.layer_prefix(unit) for unit in source.names.head)
  body = {k: x for k, x in tensors.items() if not k.startswith(head)}
  assert len(body) < len(tensors)
  match = matching.match_source(body, sources.SOURCES)
  assert match == (source, '')
  weights = convert.to_weights(body, *match, 'file')
  assert weights.network.num_classes == 0
  assert not {'head', 'aux'} & weights.variables['params'].keys()

import dataclasses
import inspect

import pytest

from inception_jax.errors import UserError
from inception_jax.models import architectures
from inception_jax.models.network_config import NetworkConfig


def test_unknown_names_are_rejected():
  with pytest.raises(UserError, match="'inception_v9': expected one of incept"):
    architectures.create_model('inception_v9')


def test_unknown_options_are_rejected_all_at_once():
  with pytest.raises(UserError) as caught:
    architectures.create_model(
      'cifar_inception_v3',
      stem='imagenet',
      aux_head=True,
      precision='fp16',
      widht=0.5,
    )
  assert [x.split(':')[0] for x in caught.value.faults] == [
    "create_model has no option 'widht'",
    "stem='imagenet'",
    'aux_head',
    "precision='fp16'",
  ]


def test_every_option_of_a_network_is_one_of_create_model():
  fields = {x.name for x in dataclasses.fields(NetworkConfig)}
  own = inspect.signature(architectures.create).parameters
  options = architectures.ModelOptions.__annotations__
  expected = (fields | own.keys()) - {'name', 'num_classes', 'network'}
  assert options.keys() == expected


def test_published_networks_differ_in_padding_and_epsilon():
  own = architectures.published('inception_v3', 10)
  assert (own.stem, own.bn_epsilon, own.count_include_pad) == (
    'imagenet',
    1e-3,
    False,
  )
  pytorch = architectures.published('cifar_inception_v3', 10)
  assert (pytorch.stem, pytorch.bn_epsilon, pytorch.count_include_pad) == (
    'small',
    1e-5,
    True,
  )


def test_shapes_of_variables_are_kept_and_may_be_changed():
  model = architectures.create_model('tiniest', 10, stem='small')
  # A model is made anew for each file that is read.
  equal = architectures.create_model('tiniest', 10, stem='small')
  shapes = architectures.init_shapes(model, (16, 16, 3))
  dense = shapes['params'].pop('head')['dense']
  again = architectures.init_shapes(equal, [16, 16, 3])['params']
  assert again['head']['dense']['kernel'] is dense['kernel']

import dataclasses

import jax
import pytest

from configs import default
from inception_jax.errors import UserError
from inception_jax.models import architectures
from inception_jax.models import card as card_lib
from inception_jax.models import factory
from inception_jax.models.card import Card
from tests.support.networks import abstract_variables
from tests.support.networks import resolved_config


@pytest.mark.slow
@pytest.mark.parametrize(
  'name', ['inception_v3', 'inception_v4', 'inception_resnet_v2']
)
@pytest.mark.parametrize('stem', ['imagenet', 'small'])
def test_smallest_image_is_checked(name, stem):
  config = resolved_config(name, stem, aux_head=True)
  least = architectures.smallest_image(name, stem)
  assert least == {'imagenet': 75, 'small': 9}[stem]
  kernels = jax.tree.leaves(abstract_variables(config, 10, least)['params'])
  assert all(kernel.size for kernel in kernels)
  config.data.image_size = least
  assert factory.check(config) == []
  config.data.image_size = least - 1
  (fault,) = factory.check(config)
  assert f'needs at least {least}' in fault
  config.data.image_size = 8193  # no checkpoint with it can be read
  config.model.num_classes = 10**30
  image, classes = sorted(factory.check(config))
  assert image == 'data.image_size=8193: expected at most 8,192'
  assert classes.endswith("2 to 1,000,000, or 0 for the dataset's own number")


def test_smallest_size_of_growing_images_is_checked():
  config = resolved_config('inception_v3')
  config.data.grow_from = 75
  assert factory.check(config) == []
  config.data.grow_from = 74
  (fault,) = factory.check(config)
  assert fault.startswith('data.grow_from=74: inception_v3 ')
  assert fault.endswith(' needs at least 75')


def test_weights_determine_the_open_keys():
  config = default.get_config()
  config.data.mean = (1.0, 2.0, 3.0)
  network = architectures.published(
    'inception_v3', 10, bn_epsilon=0.5, count_include_pad=True
  )
  card = Card(input_size=64, std=(9.0, 9.0, 9.0), crop_mode='squash')
  resolved = factory.resolve(config, network, card)
  assert factory.network_config(resolved, 10) == network
  assert card_lib.from_config(resolved.data) == dataclasses.replace(
    card, mean=(1.0, 2.0, 3.0)
  )
  assert config.data.image_size == 0  # `resolve` returns a copy


def test_drop_path_needs_residual_blocks():
  for name in ('inception_resnet_v2', 'cifar_inception_resnet_v2'):
    assert factory.check(resolved_config(name, drop_path_rate=0.1)) == []
  (fault,) = factory.check(resolved_config('inception_v4', drop_path_rate=0.1))
  assert fault == 'model.drop_path_rate: inception_v4 has no residual blocks'


def test_unknown_names_and_classes_are_rejected():
  config = resolved_config('inception_v3', num_classes=2)
  assert factory.num_classes(config, ['a']) == 2
  with pytest.raises(UserError, match='digits has 3 classes'):
    factory.num_classes(config, ['a', 'b', 'c'])
  config.model.name = 'inception_v9'
  (fault,) = factory.check(config)
  assert fault.startswith("model.name='inception_v9': expected one of ")


def test_frozen_statistics_are_all_none_or_those_of_frozen_modules():
  config = resolved_config('inception_v4')
  config.fine_tune.freeze_batch_norm = 'body'
  (fault,) = factory.check(config)
  assert fault == (
    "fine_tune.freeze_batch_norm='body': expected all, none, or '' for those "
    'of frozen modules'
  )

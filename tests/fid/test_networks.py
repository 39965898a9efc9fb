"""Which networks and features there are, and what tells them apart."""

import copy
import dataclasses

import numpy as np
import pytest

from inception_jax.errors import UserError
from inception_jax.fid import modes
from inception_jax.fid import networks
from inception_jax.models.card import Card


def test_digests_tell_modes_and_weights_but_no_classifiers(weights):
  of = [networks.of_mode(weights, mode).digest for mode in modes.MODES]
  of.append(networks.of_own(weights).digest)
  other = dataclasses.replace(weights.card, crop_fraction=0.5)
  of.append(networks.of_own(dataclasses.replace(weights, card=other)).digest)
  changed = copy.deepcopy(weights.variables)
  kernel = changed['params']['conv_1a']['conv']['kernel']
  changed['params']['conv_1a']['conv']['kernel'] = np.nextafter(kernel, 9)
  of.append(
    networks.of_mode(
      dataclasses.replace(weights, variables=changed), 'clean'
    ).digest
  )
  assert len(set(of)) == len(of)
  headless = copy.deepcopy(weights.variables)
  del headless['params']['head']
  network = dataclasses.replace(weights.network, num_classes=0)
  without = networks.of_mode(
    dataclasses.replace(weights, network=network, variables=headless), 'clean'
  )
  assert without.digest == networks.of_mode(weights, 'clean').digest
  assert not without.has_classifier


def test_modes_are_for_the_network_of_2015(weights):
  network = dataclasses.replace(weights.network, name='inception_v3')
  with pytest.raises(UserError, match='random weights is inception_v3'):
    networks.of_mode(dataclasses.replace(weights, network=network), 'clean')
  grey = Card(mean=(127.5,), std=(127.5,))
  with pytest.raises(UserError, match='grey'):
    networks.of_mode(dataclasses.replace(weights, card=grey), 'clean')

"""Processes that see different data."""

import platform

import jax
from jax.experimental import multihost_utils
import numpy as np
import pytest

from inception_jax.distributed import session
from inception_jax.distributed.liveness import SharedUserError


@pytest.fixture
def check(monkeypatch):
  """Checks the facts of several processes; returns the faults of process 0."""
  monkeypatch.setattr(jax, 'process_count', lambda: 2)

  def check(*facts):
    sent = []
    for i, own in enumerate(facts):
      monkeypatch.setattr(platform, 'node', lambda i=i: f'host{i}')
      gather = lambda local: sent.append(local) or local[None]
      monkeypatch.setattr(multihost_utils, 'process_allgather', gather)
      session.check_equal(own)
    gather = lambda local: np.stack(sent)
    monkeypatch.setattr(multihost_utils, 'process_allgather', gather)
    try:
      session.check_equal(facts[0])
    except SharedUserError as error:
      return error.faults
    return ()

  return check


def test_the_fault_names_the_hosts_and_the_split(check):
  facts = {'classes': ('a', 'b'), 'images to train on': (9, 'abc')}
  assert check(facts, facts, facts) == ()
  other = {**facts, 'images to train on': (9, 'abd')}
  assert check(facts, facts, other) == (
    'process 2 on host2 has other images to train on than process 0 on host0: '
    'do they see the same files?',
  )
  assert len(check(facts, other, {**other, 'classes': ('b', 'a')})) == 3

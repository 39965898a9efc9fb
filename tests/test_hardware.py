"""What is said of the machine."""

import logging

import optax
import pytest

from inception_jax.trainer import Trainer
from tests.conftest import tiniest_config


@pytest.mark.parametrize(
  ('preloaded', 'advised'),
  [
    ('', True),
    ('/usr/lib/libother.so', True),
    ('libtcmalloc_minimal.so.4', False),
    ('/usr/lib/libother.so:/usr/lib/libjemalloc.so.2', False),
  ],
)
def test_a_training_on_cpus_advises_a_faster_malloc(
  preloaded, advised, one_device, monkeypatch, caplog
):
  monkeypatch.setenv('LD_PRELOAD', preloaded)
  caplog.set_level(logging.INFO)
  trainer = Trainer(
    tiniest_config(), one_device, 10, optax.constant_schedule(0.1)
  )
  trainer.compile()
  assert ('libtcmalloc_minimal.so.4' in caplog.text) == advised

import json

import pytest

from configs import default
from inception_jax.checkpointing import compatibility
from inception_jax.config import serialization
from inception_jax.errors import UserError
from inception_jax.models import factory

CLASSES = ('cat', 'dog')


@pytest.fixture
def config():
  return factory.resolve(default.get_config())


DATA = {'images to train on': [9, 'abc']}


def check(
  config,
  record_config,
  classes=CLASSES,
  complete=False,
  data=DATA,
  stored=CLASSES,
):
  record = {
    'config': json.loads(serialization.to_json(record_config)),
    'network': {'classes': list(stored)},
    'data': DATA,
  }
  return compatibility.check(config, classes, data, record, 'runs/a', complete)


def test_unchanged_config_is_accepted_silently(config, caplog):
  assert not check(config, config.copy_and_resolve_references())
  assert not caplog.text


def test_harmless_changes_are_logged(config, caplog):
  before = config.copy_and_resolve_references()
  config.log_every = '7 steps'
  assert check(config, before)
  assert 'changed since this run began: log_every: ' in caplog.text


def test_other_data_are_logged(config, caplog):
  for now, said in (
    ([9, 'abd'], '9 images to train on, 9 when the checkpoint was saved, with'),
    ([10, 'a'], '10 images to train on, 9 when the checkpoint was saved: the'),
  ):
    caplog.clear()
    assert not check(config, config, data={'images to train on': now})
    (message,) = caplog.messages
    assert message.startswith(said)
    assert message.endswith('and for a new one choose another --workdir')


def test_changed_arithmetic_is_refused_unless_allowed_or_complete(config):
  before = config.copy_and_resolve_references()
  config.seed, config.batch_size = 7, 24
  with pytest.raises(UserError) as caught:
    check(config, before)
  message, *lines = caught.value.faults
  assert message.startswith('runs/a was trained with other values; ')
  assert message.endswith('--config.allow_changed=batch_size,seed')
  assert len(lines) == 2 and lines[1] == '  seed: 0 → 7'
  assert check(config, before, complete=True)
  config.allow_changed = 'batch_size,seed'
  assert check(config, before)


def test_other_classes_are_refused_and_named(config):
  with pytest.raises(UserError) as caught:
    check(config, config, classes=('dog', 'cat', 'newt'))
  assert caught.value.faults == (
    'runs/a was trained on other classes, or in another order:',
    "  0: 'cat' → 'dog'",
    "  1: 'dog' → 'cat'",
    '  2 → 3 classes',
  )
  # Numbers are those of a list's labels, before its classes had names.
  assert check(config, config, stored=('0', '1')) is False
  with pytest.raises(UserError, match="1: '0' → 'dog'"):
    check(config, config, stored=('1', '0'))

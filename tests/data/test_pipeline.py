"""Batches: labels, resume, channels, refused labels, tf.data options."""

import subprocess

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from configs import digits
from inception_jax import errors
from inception_jax.data import pipeline
from inception_jax.data.sources import registry
from inception_jax.models import factory
from tests.support import commands
from tests.support import tfds_sets
from tests.support.tfds_sets import config_of
from tests.support.tfds_sets import numbers
from tests.support.tfds_sets import take
from tests.support.tfds_sets import train_batches

_TIMEOUT = 120  # seconds; without `closing`, the process never ends


@pytest.mark.slow
def test_labels_stay_with_their_images(shapes_dir):
  for batch in take(train_batches(config_of(shapes_dir)), 8):
    assert [n % 3 for n in numbers(batch)] == batch['label'].tolist()


@pytest.mark.slow
@pytest.mark.parametrize('start', [1, 5, 6, 13])
def test_resume_at_any_step_is_bitwise(shapes_dir, start):
  config = config_of(shapes_dir)
  config.data.train_crop = 'resized'  # random draws must repeat, too
  straight = take(train_batches(config), 16)[start:]
  resumed = take(train_batches(config, start), 16 - start)
  for a, b in zip(straight, resumed, strict=True):
    np.testing.assert_array_equal(a['image'], b['image'])
    np.testing.assert_array_equal(a['label'], b['label'])


@pytest.mark.slow
@pytest.mark.parametrize('encoding', ['png', 'jpeg'])
def test_grey_images_become_rgb(tmp_path, encoding):
  tfds_sets.write(tmp_path, encoding=encoding, channels=1)
  config = config_of(tmp_path)
  for crop in ('none', 'resized'):
    config.data.train_crop = crop
    (batch,) = take(train_batches(config), 1)
    assert batch['image'].shape == (4, 12, 12, 3)
    assert (batch['image'] == batch['image'][..., :1]).all()


def test_labels_out_of_range_are_refused(tmp_path):
  tfds_sets.write(tmp_path, unlabelled=('test',))
  config = config_of(tmp_path)
  split = registry.load(config, 'test')
  with pytest.raises(errors.UserError, match='label -1 is not one of'):
    list(pipeline.eval_batches(split, config.data, 4, range(4)))


def test_autotuning_is_off(monkeypatch):
  # Its thread sleeps, and deleting an iterator waits for it up to a minute.
  config = factory.resolve(digits.get_config())
  split = registry.load(config, 'test')
  datasets = []
  as_numpy_iterator = tf.data.Dataset.as_numpy_iterator

  def record(self):
    datasets.append(self)
    return as_numpy_iterator(self)

  monkeypatch.setattr(tf.data.Dataset, 'as_numpy_iterator', record)
  next(pipeline.eval_batches(split, config.data, 8, range(8)))
  next(pipeline.train_batches(split, config, 0, range(8)))
  assert len(datasets) == 2
  assert [x.options().autotune.enabled for x in datasets] == [False] * 2


@pytest.mark.slow
def test_a_program_ends_while_images_are_read(tmp_path):
  for name in ('cat', 'dog'):
    path = tmp_path / 'train' / name / 'a.png'
    path.parent.mkdir(parents=True)
    Image.new('RGB', (2000, 2000)).save(path)
  program = """
from inception_jax.data import pipeline
from inception_jax.data.sources import registry
from tests.support.image_folders import config_of
import sys

config = config_of(sys.argv[1])
split = registry.load(config, 'train')
batches = pipeline.train_batches(split, config, 0, range(4))
print(next(batches)['label'].shape)
"""
  # Not a fork: its interpreter does not shut down.
  process = commands.command(str(tmp_path), program=('-c', program))
  done = subprocess.run(**process, timeout=_TIMEOUT)
  assert (done.returncode, done.stdout) == (0, '(4,)\n'), done.stderr

"""Records in buckets: the same as on a disk, whatever happens on the way."""

import contextlib
import tarfile

import numpy as np
import pytest

from inception_jax.buckets import bucket
from inception_jax.data import pipeline
from inception_jax.data.bad_images import BadImages
from inception_jax.data.remote import mounts
from inception_jax.data.remote import reads
from inception_jax.data.sources import registry
from inception_jax.errors import RunError
from tests.data.sources import test_cifar
from tests.data.sources import test_tfrecord
from tests.support import flips
from tests.support import image_folders
from tests.support import object_server
from tests.support import runs
from tests.support import uploads
from tests.support import written_datasets
from tests.support.image_folders import config_of


def tfrecord(path):
  """Writes a dataset; returns what makes its config, and its bad record."""
  path.mkdir()
  test_tfrecord.write(path, 'train', 11, 2)
  test_tfrecord.write(path, 'validation', 5, 1)
  shard = path / 'train-00001-of-00002'
  begin = flips.begins(shard)[1]
  flips.flip(shard, begin + 99)
  return test_tfrecord.config_of, f'{shard.name}, byte {begin}'


def folder(path):
  for i in range(11):
    for split in ('train', 'validation'):
      image_folders.write_image(path / split / 'ab'[i % 2] / f'{i}.png', 20 * i)
  (path / 'train' / 'a' / '4.png').write_bytes(b'junk')
  return config_of, 'train/a/4.png'


def lists(path):
  folder(path)
  for split in ('train', 'validation'):
    lines = [f'{split}/{"ab"[i % 2]}/{i}.png {i % 2}\n' for i in range(11)]
    (path / f'{split}_list.txt').write_text(''.join(lines))
  return config_of, 'train/a/4.png'


def webdataset(path):
  written_datasets.copy('webdataset', path.parent)
  shard = path / 'train-000000.tar'
  with tarfile.open(shard) as archive:
    image = [x for x in archive if x.name.endswith('.png')][1]
  flips.flip(shard, image.offset_data)
  config = lambda where: written_datasets.config_of('webdataset', where)
  return config, f'{shard.name}, {image.name}'


def cifar(path):
  test_cifar.write(path / 'x', test_cifar.files(10, 'python'))
  return lambda x: config_of(x, source='cifar', eval_split='test'), ''


def streams(config):
  """Returns batches of training, a resumed one of a host's, and evaluation.

  And the names of the bad images, and the digest.
  """
  config.batch_size, config.data.max_bad_fraction = 4, 0.5
  opened = registry.load(config, 'train')
  bad = BadImages(opened, config.data)
  batches = []
  for step, rows, count in ((0, range(4), 5), (2, range(1, 3), 1)):
    found = pipeline.train_batches(opened, config, step, rows, bad)
    with contextlib.closing(found):
      batches += [next(found) for _ in range(count)]
  held_out = registry.load(config, config.data.eval_split)
  batches += pipeline.eval_batches(held_out, config.data, 4, range(4))
  return batches, [*bad.reasons], opened.digest()


def assert_same(batches, others):
  for one, other in zip(batches, others, strict=True):
    assert one.keys() == other.keys()
    for key, values in one.items():
      np.testing.assert_array_equal(values, other[key])


@pytest.mark.slow
@pytest.mark.parametrize(
  'write',
  [tfrecord, folder, lists, webdataset, cifar],
  ids=lambda x: x.__name__,
)
def test_batches_are_those_of_a_disk(write, tmp_path, google, monkeypatch):
  path = tmp_path / write.__name__
  config, bad = write(path)
  monkeypatch.setattr(reads, '_MAX_BYTES', 1500)  # of two records
  monkeypatch.setattr(reads, '_GUESS', 700)
  expected, names, _ = streams(config(path))
  url = f'gs://bucket/reads/{write.__name__}'
  uploads.upload(path, url)
  google.failed = 0
  monkeypatch.setattr(google, 'latency', 0.005)
  monkeypatch.setattr(google, 'failures', 0.05)
  batches, bad_there, digest = streams(config(url))
  assert google.failed or write is cifar  # a few files, read once
  assert_same(expected, batches)
  assert [x.removeprefix(f'{path}/') for x in names] == [bad] * bool(bad)
  assert bad_there == [f'{url}/{bad}'] * bool(bad)
  mounts.forget()
  again = registry.load(config(url), 'train')  # by the index in the cache
  local = registry.load(config(path), 'train')
  assert again.digest() == digest
  for i in range(local.size):
    assert again.name(i) == local.name(i).replace(str(path), url)


@pytest.mark.slow
def test_batches_of_s3_are_those_of_a_disk(tmp_path, monkeypatch):
  with object_server.s3() as environment:
    for name, value in environment.items():
      monkeypatch.setenv(name, value)
    for write in (tfrecord, folder, webdataset, cifar):
      path = tmp_path / write.__name__
      config, bad = write(path)
      expected, _, _ = streams(config(path))
      url = f's3://bucket/{write.__name__}'
      uploads.upload(path, url)
      batches, names, _ = streams(config(url))
      assert_same(expected, batches)
      assert names == [f'{url}/{bad}'] * bool(bad)


@pytest.mark.slow
def test_objects_that_change_end_the_training(folder, google):
  url = 'gs://bucket/changing'
  objects = uploads.upload(folder, url)
  opened = registry.load(config_of(url), 'train')
  objects.write('train/a/4.png', (folder / 'train/a/2.png').read_bytes())
  read = lambda: list(
    pipeline.eval_batches(opened, config_of(url).data, 4, range(4))
  )
  with pytest.raises(RunError, match=f'{url}/train/a/4.png has changed since'):
    read()
  objects.delete(['train/a/4.png'])
  with pytest.raises(RunError, match=f'{url}/train/a/4.png is gone since'):
    read()


# Or they can be read again by the time that images are tried one by one.
@pytest.mark.slow
@pytest.mark.parametrize('again', [False, True])
def test_objects_that_cannot_be_read_end_the_training(
  folder, google, monkeypatch, again
):
  url = f'gs://bucket/unreadable/{again}'
  uploads.upload(folder, url)
  delays = {'initial_delay': '1ms', 'max_delay': '2ms'}
  monkeypatch.setattr(bucket, '_DELAYS', delays)
  config = config_of(url)
  opened = registry.load(config, 'train')
  bad = BadImages(opened, config.data)
  monkeypatch.setattr(google, 'failures', 1.0)
  find = bad.find

  def find_after(*args):
    google.failures = 0.0 if again else 1.0
    return find(*args)

  monkeypatch.setattr(bad, 'find', find_after)
  batches = pipeline.train_batches(opened, config, 0, range(4), bad)
  with contextlib.closing(batches):
    with pytest.raises(RunError, match=f'{url}/train/[ab]/[0-9].png: .*503'):
      next(batches)
  assert not bad.reasons


@pytest.mark.slow
def test_a_training_on_a_bucket_is_that_on_a_disk(
  folder, google, tmp_path, one_device
):
  url = 'gs://bucket/trained'
  uploads.upload(folder, url)
  for where, name in ((str(folder), 'disk'), (url, 'bucket')):
    config = runs.short_config()
    config.data.update(source='auto', dir=where, eval_split='validation')
    config.batch_size = 4
    runs.train(tmp_path / name, config, one_device)
  ends = [
    [line['loss'] for line in runs.metrics(tmp_path / name, split)]
    for name in ('disk', 'bucket')
    for split in ('train', 'eval')
  ]
  assert ends[0] and ends[1] and ends[:2] == ends[2:]

"""TFRecord files of which one bit is flipped, wherever that is."""

import os

import pytest
import tensorflow as tf

from inception_jax.data.sources import tfrecord_files
from tests.support import flips

RECORDS = [b'first', b'the second record', b'3rd']


@pytest.fixture(scope='module')
def flipped(tmp_path_factory):
  """[(path, record)]: a file for each byte, damaged in that record."""
  folder, found = tmp_path_factory.mktemp('flipped'), []
  sound = folder / 'sound'
  with tf.io.TFRecordWriter(str(sound)) as writer:
    for record in RECORDS:
      writer.write(record)
  owners = [i for i, x in enumerate(RECORDS) for _ in range(len(x) + 16)]
  for offset, owner in enumerate(owners):
    path = folder / str(offset)
    path.write_bytes(sound.read_bytes())
    flips.flip(path, offset, offset % 8)
    found.append((path, owner))
  return found


def index(path):
  with open(path, 'rb') as file:
    read = lambda at, count: os.pread(file.fileno(), count, at)
    return tfrecord_files.index(read, os.path.getsize(path))


def test_a_flip_makes_one_record_unreadable_by_number(flipped):
  read = tf.function(
    lambda path, at: tfrecord_files.record(path, at).get_single_element(),
    input_signature=[
      tf.TensorSpec((), tf.string),
      tf.TensorSpec((), tf.int64),
    ],
  )
  for path, owner in flipped:
    found = index(path)
    assert len(found) == 3
    for i, (record, row) in enumerate(zip(RECORDS, found, strict=True)):
      if i == owner:
        with pytest.raises(tf.errors.DataLossError):
          read(str(path), row[0])
      else:
        assert read(str(path), row[0]).numpy() == record


@pytest.mark.slow
def test_a_flip_makes_one_record_of_the_file_empty(flipped):
  paths = tf.data.Dataset.from_tensor_slices([str(path) for path, _ in flipped])
  read = paths.flat_map(
    lambda path: tfrecord_files.dataset(path).skip(1).take(2)
  )
  read = list(read.as_numpy_iterator())
  for i, (_, owner) in enumerate(flipped):
    expected = [b'' if n == owner else RECORDS[n] for n in (1, 2)]
    assert read[2 * i : 2 * i + 2] == expected


def test_the_checksum_of_each_record_is_in_the_index(flipped):
  path, _ = flipped[0]
  sound = index(path.with_name('sound'))
  with tf.io.TFRecordWriter(str(path)) as writer:
    for record in (*RECORDS[:2], b'3RD'):
      writer.write(record)
  assert (index(path) != sound).sum() == 1

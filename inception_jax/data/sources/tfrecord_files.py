"""TFRecord files: where their records are, and reading around damaged ones.

  uint64 length | uint32 its checksum | data | uint32 its checksum | …

Numbers are little-endian, checksums masked CRC-32C:
https://www.tensorflow.org/tutorials/load_data/tfrecord
"""

from collections.abc import Callable
import os
import struct

import google_crc32c
import numpy as np

from inception_jax.data.lazy import tf

# The checksum of a record, then the length of the next one and its checksum.
_BETWEEN = struct.Struct('<IQI')
_HEADER, _FOOTER = 12, 4
_BLOCK = 2**20

Read = Callable[[int, int], bytes]  # (offset, count) → at most `count` bytes


def index(read: Read, size: int) -> np.ndarray:
  """Returns offset, length and checksum of each record's data: int64 [N, 3].

  Where a length is damaged, all up to the next intact one counts as one record,
  which cannot be read.

  Args:
    read: reads the file.
    size: of the file, in bytes.

  Raises:
    ValueError: the file is truncated, or no TFRecord file.
  """
  try:
    return _walk(read, size, lambda at: at)
  except ValueError:  # one damaged length leads astray
    return _walk(read, size, lambda at: _intact_length(read, at, size))


def _walk(read: Read, size: int, find: Callable[[int], int]) -> np.ndarray:
  """As `index`; `find` maps an offset to that of the next intact length."""
  records, at, intact = [], 0, 0
  between = bytes(_FOOTER) + read(0, _HEADER)
  while at < size:
    begin = find(at)
    if begin == at:
      _, length, _ = _BETWEEN.unpack(between.ljust(_BETWEEN.size, b'\0'))
      intact += 1
    else:
      length = max(0, begin - at - _HEADER - _FOOTER)
    end = at + _HEADER + length
    if end + _FOOTER > size:
      raise ValueError(
        f'its last record ends at {end + _FOOTER}, the file at {size}'
      )
    between = read(end, _BETWEEN.size)
    checksum = int.from_bytes(between[:_FOOTER], 'little')
    records.append((at + _HEADER, length, checksum))
    at = end + _FOOTER
  if records and not intact:
    raise ValueError('it is not a TFRecord file')
  return np.array(records, np.int64).reshape(-1, 3)


def _intact_length(read: Read, at: int, size: int) -> int:
  """Returns the first offset from `at` on of an intact length, or `size`."""
  count = _HEADER  # mostly it is at `at`
  while at + _HEADER <= size:
    block = np.frombuffer(read(at, count), np.uint8)
    # Of the 12 bytes from each place on.
    windows = np.lib.stride_tricks.sliding_window_view(block, _HEADER)
    stored = np.ascontiguousarray(windows[:, 8:]).view('<u4')[:, 0]
    if len(found := np.flatnonzero(_masked_crc(windows[:, :8]) == stored)):
      return at + int(found[0])
    at, count = at + len(windows), _BLOCK
  return size


def frame(offset: int, length: int) -> tuple[int, int]:
  """Returns where a record begins and ends with its length and checksums."""
  return offset - _HEADER, offset + length + _FOOTER


def unframe(framed: bytes) -> bytes:
  """Returns the data of a record, or b'' if a checksum is wrong.

  Args:
    framed: what is at `frame`.
  """
  header, data = framed[:8], framed[_HEADER:-_FOOTER]
  found = struct.unpack_from('<QI', framed) + struct.unpack('<I', framed[-4:])
  return data if found == (len(data), crc(header), crc(data)) else b''


def crc(data: bytes) -> int:
  """Returns the masked CRC-32C of bytes."""
  value = google_crc32c.value(data)
  return ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF


def record(path, offset):
  """Returns the tf.data.Dataset of one record, whose data are at `offset`.

  Reading it fails if one of its checksums is wrong.
  """
  variant = tf.raw_ops.TFRecordDatasetV2(
    filenames=[path],
    compression_type='',
    buffer_size=0,  # reads no more than the record
    byte_offsets=[offset - _HEADER],
  )
  spec = tf.TensorSpec((), tf.string)
  return tf.data.experimental.from_variant(variant, spec).take(1)


def dataset(path):
  """Returns the tf.data.Dataset of a file's records: '' for damaged ones.

  `path` is a string tensor. TensorFlow's own dataset ends at the first damaged
  record; only then are the positions of the others looked for.
  """
  sound = tf.data.TFRecordDataset(path).ignore_errors()

  def rest(path):
    count = sound.reduce(np.int64(0), lambda count, _: count + 1)
    offsets = tf.numpy_function(_offsets, [path], tf.int64)
    offsets = tf.ensure_shape(offsets, (None,))
    offsets = tf.data.Dataset.from_tensor_slices(offsets[count:])
    return offsets.flat_map(
      lambda offset: (
        record(path, offset)
        .ignore_errors()
        .concatenate(tf.data.Dataset.from_tensors(''))
        .take(1)
      )
    )

  # Evaluated only where more records are taken than `sound` has.
  return sound.concatenate(tf.data.Dataset.from_tensors(path).flat_map(rest))


def check(record):
  """Returns a record of `dataset` once it is known to be undamaged."""
  sound = tf.debugging.assert_positive(
    tf.strings.length(record), 'wrong checksum'
  )
  # None: it has already run, and did not fail.
  with tf.control_dependencies([sound] if sound is not None else []):
    return tf.identity(record)


def _offsets(path: bytes) -> np.ndarray:
  """Returns the offset of each record's data in a file that may be remote."""
  with tf.io.gfile.GFile(path, 'rb') as file:

    def read(at, count):
      file.seek(at)
      return file.read(count)

    try:
      return index(read, file.size())[:, 0]
    except ValueError as error:
      raise ValueError(f'{os.fsdecode(path)} is damaged: {error}') from error


def _masked_crc(data: np.ndarray) -> np.ndarray:
  """Returns the masked CRC-32C of each row: uint8 [N, n] → uint32 [N]."""
  table = np.arange(256, dtype=np.uint32)
  for _ in range(8):
    table = np.where(table & 1, table >> 1 ^ 0x82F63B78, table >> 1)
  crc = np.full(len(data), 0xFFFFFFFF, np.uint32)
  for column in data.T:
    crc = table[(crc ^ column) & 255] ^ crc >> 8
  return (~crc >> 15 | ~crc << 17) + 0xA282EAD8

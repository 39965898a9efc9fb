"""Images that are ranges of bytes in files, such as members of archives."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import os

import numpy as np

from inception_jax.data import places
from inception_jax.data.lazy import tf
from inception_jax.data.remote import reads
from inception_jax.data.splits import Indexed
from inception_jax.runtime import files

WHOLE_FILE = -1  # in place of a size


def split_of(
  paths: Sequence[str],
  ranges: np.ndarray,
  labels: np.ndarray,
  class_names: Sequence[str],
  name: Callable[[int], str],
  digest: Callable[[], str],
  faults: Mapping[int, str],
) -> Indexed:
  """Returns the split of images that are read by offset when fetched.

  Args:
    paths: of the files.
    ranges: int64 [N, 3], number of the file, offset, and size in bytes.
    labels: int64 [N].
    class_names: by label.
    name: index → the image's name for people.
    digest: as in `Indexed`.
    faults: index → why this image cannot be read.
  """

  def read(index):
    if fault := faults.get(int(index)):
      raise ValueError(fault)
    number, offset, size = map(int, ranges[index])
    if size == WHOLE_FILE:
      return files.read(paths[number])
    with open(paths[number], 'rb', buffering=0, opener=files.regular) as file:
      content = os.pread(file.fileno(), size, offset)
    if len(content) < size:
      raise ValueError(f'the file ends {size - len(content)} bytes early')
    return content

  known = tf.constant(labels, tf.int64)

  def fetch(index):
    return {
      'image': tf.ensure_shape(by_python(read, index, tf.string), ()),
      'label': tf.gather(known, index),
    }

  split = Indexed(len(ranges), tuple(class_names), fetch, name, digest, labels)
  if not (found := places.bucket_of(paths)):
    return split
  mounted, numbers = found

  def span(index):
    number, offset, size = ranges[index].tolist()
    return reads.Span(int(numbers[number]), offset, offset + size)

  return reads.split_of(
    *(split, mounted, span),
    lambda index, image: {'image': image, 'label': tf.gather(known, index)},
  )


def by_python(read: Callable, index, kind):
  """Returns a tensor of what a Python function reads, or fails as it does."""
  return tf.numpy_function(read, [index], kind, stateful=False)

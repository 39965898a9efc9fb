"""Arrow streams, as `datasets.save_to_disk` writes them.

They are mapped into memory to find where in them each image is. The images are
then read by offset.
"""

from typing import NamedTuple

import numpy as np

from inception_jax.runtime import files


class Images(NamedTuple):
  """The image column of a stream of N records.

  Attributes:
    ranges: int64 [N, 2], offset and size in bytes.
    paths: of the images that are files of their own, by record; None where
      there is no image at all.
    labels: the label column, a `pyarrow.ChunkedArray`.
  """

  ranges: np.ndarray
  paths: dict[int, str | None]
  labels: object


def schema(path: str):
  """Returns the `pyarrow.Schema` of a stream.

  Raises:
    OSError, pyarrow.ArrowException: it is damaged, or no stream.
  """
  import pyarrow

  with open(path, 'rb', opener=files.regular) as file:
    return pyarrow.ipc.open_stream(file).schema


def read(path: str, image: str, label: str) -> Images:
  """Returns where a stream's images are, and its labels.

  Raises:
    OSError, ValueError, pyarrow.ArrowException: it is damaged, compressed or
      has no such columns.
  """
  import pyarrow

  columns = schema(path).names
  if missing := {image, label} - {*columns}:
    raise ValueError(f'it has no column {" and ".join(sorted(missing))}')
  options = pyarrow.ipc.IpcReadOptions(
    included_fields=sorted(map(columns.index, (image, label))),
    use_threads=False,
  )
  mapped = pyarrow.memory_map(path)
  whole = mapped.read_buffer()
  stream = pyarrow.ipc.open_stream(whole, options=options)
  ranges, paths, labels, count = [], {}, [], 0
  for batch in stream:
    batch.validate(full=True)
    found, without = _images(batch.column(image), whole)
    ranges.append(found)
    paths |= {count + row: path for row, path in without.items()}
    labels.append(batch.column(label))
    count += len(batch)
  kind = stream.schema.field(label).type
  return Images(
    np.concatenate([np.zeros((0, 2), np.int64), *ranges]),
    paths,
    pyarrow.chunked_array(labels, kind),
  )


def _images(column, whole):
  """Returns the ranges of a batch's images, and paths of those without."""
  import pyarrow
  from pyarrow import types

  content, paths = column, None
  if types.is_struct(column.type):
    # `flatten` applies the offset and the nulls of the structs.
    parts = dict(zip(names_of(column.type), column.flatten(), strict=True))
    content, paths = parts['bytes'], parts.get('path')
  if types.is_null(content.type):  # no image is in the file
    content = content.cast(pyarrow.binary())
  wide = types.is_large_binary(content.type)
  if not (wide or types.is_binary(content.type)):
    raise ValueError(f'its images are {content.type}')
  _, offsets, data = content.buffers()
  count = len(content)
  if not count or not data:  # no bytes at all
    ranges = np.zeros((count, 2), np.int64)
  else:
    begin = data.address - whole.address
    if not 0 <= begin <= whole.size - data.size:
      raise ValueError('it is compressed: save it with datasets.save_to_disk')
    bounds = np.frombuffer(offsets, np.int64 if wide else np.int32)
    bounds = bounds[content.offset :][: count + 1].astype(np.int64)
    ranges = np.stack([begin + bounds[:-1], np.diff(bounds)], 1)
  without = np.flatnonzero(content.is_null().to_numpy(zero_copy_only=False))
  path_of = lambda row: paths[row].as_py() if paths is not None else None
  return ranges, {int(row): path_of(int(row)) for row in without}


def names_of(kind) -> list[str]:
  """Returns the names of a struct's fields."""
  return [kind.field(i).name for i in range(kind.num_fields)]

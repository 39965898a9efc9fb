"""Which columns of a table hold the images and their classes.

The features that Hugging Face's `datasets` stores in a table's metadata say so;
tables of other programs are told apart by the types of their columns.
"""

from collections.abc import Sequence
import logging
from typing import Any
from typing import NamedTuple

import numpy as np

from inception_jax import errors
from inception_jax import inputs

log = logging.getLogger(__name__)

_LABEL_NAMES = ('label', 'labels', 'class', 'cls', 'target', 'fine_label')
_MOST_CLASSES = 1_000_000


class Columns(NamedTuple):
  """The columns of an image classification dataset.

  Attributes:
    image: name of the column of encoded images.
    label: name of the column of labels.
    names: the class names, by label; (): the labels are names or numbers.
  """

  image: str
  label: str
  names: tuple[str, ...]


def find(schema, where: str, info: Any = None) -> Columns:
  """Returns the columns of a `pyarrow.Schema`.

  Args:
    schema: the schema.
    where: the dataset, for messages.
    info: dataset_info.json, for a schema without metadata.

  Raises:
    UserError: there is no column of images or none of labels.
  """
  features = _features(schema, info)
  of = lambda kind: [
    key
    for key, feature in features.items()
    if feature.get('_type') == kind and key in schema.names
  ]
  images = [name for name in of('Image') if _is_image(schema.field(name).type)]
  images = images or [f.name for f in schema if _is_image(f.type)]
  labels = of('ClassLabel') or _labels(schema)
  if not (images and labels):
    listed = ', '.join(f'{field.name} ({field.type})' for field in schema)
    lacking = [
      kind
      for kind, found in (('images', images), ('class labels', labels))
      if not found
    ]
    raise errors.UserError(
      f'{where}: no column of {" and none of ".join(lacking)}, it has {listed}'
    )
  for kind, found in (('images', images), ('labels', labels)):
    if found[1:]:
      log.info('%s: %s are %s, not %s', where, kind, found[0], found[1:])
  names = features.get(labels[0], {}).get('names') or ()
  if not (isinstance(names, list | tuple) and {*map(type, names)} <= {str}):
    raise errors.UserError(f'{where}: the class names are not a list of names')
  return Columns(images[0], labels[0], tuple(names))


def class_names(columns: Columns, values: np.ndarray, where: str):
  """Returns the class names, by label, of a column without.

  Args:
    columns: the columns.
    values: those of the training split's label column: integers or strings.
    where: the dataset, for messages.
  """
  if columns.names:
    return columns.names
  if values.dtype == object:
    return tuple(inputs.sort_classes({v for v in values if v is not None}))
  largest = int(values.max(initial=0))
  if largest >= _MOST_CLASSES:
    raise errors.UserError(
      f'{where}: {largest} in the column {columns.label} is no label'
    )
  return tuple(map(str, range(largest + 1)))


def numbers(column, where: str) -> np.ndarray:
  """Returns a label column, a `pyarrow.ChunkedArray`, as int64 or objects.

  Nulls are -1 and None.
  """
  import pyarrow

  if pyarrow.types.is_dictionary(column.type):
    column = column.cast(column.type.value_type)
  if pyarrow.types.is_integer(column.type):
    # In 64 bits; larger numbers are an error.
    return column.cast(pyarrow.int64()).fill_null(-1).to_numpy()
  try:
    return np.array([None, *column.to_pylist()], object)[1:]
  except UnicodeDecodeError as error:
    raise errors.UserError(f'{where}: labels are not UTF-8') from error


def labels(
  values: np.ndarray, names: Sequence[str], columns: Columns, where: str
) -> np.ndarray:
  """Returns the labels, int64 [N], of the values of the label column.

  Raises:
    UserError: values that are not one of the classes, each once.
  """
  if values.dtype == object:
    by_name = {name: i for i, name in enumerate(names)}
    found = np.array([by_name.get(value, -1) for value in values], np.int64)
  else:
    found = values
  wrong = (found < 0) | (found >= len(names))
  faults = []
  for value in sorted({*values[wrong].tolist()}, key=str):
    count = int((values == value).sum())
    what = f'{where}: {columns.label} of {count} of {len(values)} images'
    if value in (-1, None):
      faults.append(f'{what} is missing; a split without labels cannot be used')
    else:
      faults.append(f'{what} is {value!r}, not one of the {len(names)} classes')
  if faults:
    raise errors.UserError(*errors.shorten(faults))
  return found


def _features(schema, info: Any) -> dict[str, dict]:
  """Returns the features by column; {} where they are not known."""
  try:
    text = (schema.metadata or {}).get(b'huggingface')
    features = inputs.parse_json(text)['info'] if text else info
    features = features['features']
    return {k: v for k, v in features.items() if isinstance(v, dict)}
  except (ValueError, KeyError, TypeError, AttributeError):
    return {}


def _is_image(kind) -> bool:
  from pyarrow import types

  if types.is_struct(kind) and kind.get_field_index('bytes') >= 0:
    kind = kind.field('bytes').type
  return types.is_binary(kind) or types.is_large_binary(kind)


def _labels(schema) -> list[str]:
  """Returns the column of labels of a table without features, or []."""
  from pyarrow import types

  is_large = lambda k: types.is_large_string(k) or types.is_string_view(k)
  plain = [
    field.name
    for field in schema
    for kind in [getattr(field.type, 'value_type', field.type)]
    if not types.is_nested(field.type)
    and (types.is_integer(kind) or types.is_string(kind) or is_large(kind))
  ]
  named = [name for name in _LABEL_NAMES if name in plain]
  return named or (plain if len(plain) == 1 else [])

"""Reads and writes MindSpore's `.ckpt`, a protobuf, without mindspore.

mindspore/train/checkpoint.proto: `Checkpoint` is a list of values, each a tag
and a tensor with dimensions, type name and little-endian bytes. A tensor above
512 MB is split into several values with the same tag. A checksum may follow
the message.
"""

import binascii
import functools

from google.protobuf import descriptor_pb2
from google.protobuf import descriptor_pool
from google.protobuf import message_factory
import ml_dtypes
import numpy as np

_DTYPES = {
  'Float16': np.float16,
  'Float32': np.float32,
  'Float64': np.float64,
  'BFloat16': ml_dtypes.bfloat16,
  'Int8': np.int8,
  'Int16': np.int16,
  'Int32': np.int32,
  'Int64': np.int64,
  'UInt8': np.uint8,
  'UInt16': np.uint16,
  'UInt32': np.uint32,
  'UInt64': np.uint64,
  'Bool': np.bool_,
}
_CHECKSUM, _CHECKSUM_SIZE = b'crc_num', 10


def read(path: str) -> dict[str, np.ndarray]:
  """Reads the tensors of a checkpoint by name.

  Raises:
    ValueError, google.protobuf.message.DecodeError: the file is damaged or not
      a checkpoint.
  """
  with open(path, 'rb') as file:
    content = file.read()
  end = len(content) - _CHECKSUM_SIZE - len(_CHECKSUM)
  if content[max(end, 0) :].startswith(_CHECKSUM):
    checksum = int.from_bytes(content[-_CHECKSUM_SIZE:], 'big')
    content = content[:end]
    if binascii.crc32(content) != checksum:
      raise ValueError('the checksum does not match the content')
  checkpoint = _checkpoint_class()()
  checkpoint.ParseFromString(content)
  shapes, parts = {}, {}
  for value in checkpoint.value:
    tensor = value.tensor
    if tensor.tensor_type not in _DTYPES:
      raise ValueError(f'{value.tag}: unknown type {tensor.tensor_type!r}')
    part = np.frombuffer(tensor.tensor_content, _DTYPES[tensor.tensor_type])
    parts.setdefault(value.tag, []).append(part)
    shapes[value.tag] = tuple(tensor.dims)
  if not shapes:
    raise ValueError('the file has no tensors')
  return {
    name: np.concatenate(parts[name]).reshape(shape)
    for name, shape in shapes.items()
  }


def write(path: str, tensors: dict[str, np.ndarray]) -> None:
  """Writes float32 tensors as a checkpoint that MindSpore loads."""
  checkpoint = _checkpoint_class()()
  for name, array in tensors.items():
    value = checkpoint.value.add(tag=name)
    value.tensor.dims.extend(array.shape)
    value.tensor.tensor_type = 'Float32'
    value.tensor.tensor_content = array.astype('<f4').tobytes()
  with open(path, 'wb') as file:
    file.write(checkpoint.SerializeToString())


@functools.cache
def _checkpoint_class():
  """Returns the protobuf class of a checkpoint.

  Its names differ from MindSpore's, so that one process can load both.
  """
  Field = descriptor_pb2.FieldDescriptorProto
  file = descriptor_pb2.FileDescriptorProto(
    name='inception_jax/mindspore_checkpoint.proto',
    package='inception_jax.mindspore',
    syntax='proto2',
  )
  scope = f'.{file.package}.'
  for message, fields in {
    'Tensor': (
      ('dims', 1, Field.LABEL_REPEATED, Field.TYPE_INT64, ''),
      ('tensor_type', 2, Field.LABEL_REQUIRED, Field.TYPE_STRING, ''),
      ('tensor_content', 3, Field.LABEL_REQUIRED, Field.TYPE_BYTES, ''),
    ),
    'Value': (
      ('tag', 1, Field.LABEL_REQUIRED, Field.TYPE_STRING, ''),
      ('tensor', 2, Field.LABEL_REQUIRED, Field.TYPE_MESSAGE, 'Tensor'),
    ),
    'Checkpoint': (
      ('value', 1, Field.LABEL_REPEATED, Field.TYPE_MESSAGE, 'Value'),
    ),
  }.items():
    added = file.message_type.add(name=message)
    for name, number, label, kind, type_name in fields:
      added.field.add(
        name=name,
        number=number,
        label=label,
        type=kind,
        type_name=scope + type_name if type_name else None,
      )
  pool = descriptor_pool.DescriptorPool()
  pool.Add(file)
  return message_factory.GetMessageClass(
    pool.FindMessageTypeByName(f'{file.package}.Checkpoint')
  )

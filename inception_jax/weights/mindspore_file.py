"""MindSpore's `.ckpt`: a protobuf of named tensors, read without mindspore.

mindspore/train/checkpoint.proto: `Checkpoint` is a list of values, each a tag
and a tensor of dimensions, type name and little-endian bytes. A tensor above
512 MB comes in several values of one tag. A checksum may follow the message.
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
  """The tensors of a checkpoint by name.

  Raises:
    ValueError, google.protobuf.message.DecodeError: it is not one, or damaged.
  """
  with open(path, 'rb') as file:
    content = file.read()
  mark = len(content) - _CHECKSUM_SIZE - len(_CHECKSUM)
  if content[max(mark, 0) :].startswith(_CHECKSUM):
    stored = int.from_bytes(content[-_CHECKSUM_SIZE:], 'big')
    content = content[:mark]
    if binascii.crc32(content) != stored:
      raise ValueError('its checksum does not fit its content')
  checkpoint = _message()()
  checkpoint.ParseFromString(content)
  shapes, pieces = {}, {}
  for value in checkpoint.value:
    tensor = value.tensor
    if tensor.tensor_type not in _DTYPES:
      raise ValueError(f'{value.tag}: {tensor.tensor_type!r} is no known type')
    piece = np.frombuffer(tensor.tensor_content, _DTYPES[tensor.tensor_type])
    pieces.setdefault(value.tag, []).append(piece)
    shapes[value.tag] = tuple(tensor.dims)
  if not shapes:
    raise ValueError('it has no tensors')
  return {
    name: np.concatenate(pieces[name]).reshape(shape)
    for name, shape in shapes.items()
  }


def write(path: str, tensors: dict[str, np.ndarray]) -> None:
  """Writes float32 tensors as a checkpoint that MindSpore loads."""
  checkpoint = _message()()
  for name, array in tensors.items():
    value = checkpoint.value.add(tag=name)
    value.tensor.dims.extend(array.shape)
    value.tensor.tensor_type = 'Float32'
    value.tensor.tensor_content = array.astype('<f4').tobytes()
  with open(path, 'wb') as file:
    file.write(checkpoint.SerializeToString())


@functools.cache
def _message():
  """The class of the message, from a description of its own.

  The names differ from MindSpore's, so that both can be in one process.
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
    for name, number, label, kind, of in fields:
      added.field.add(
        name=name,
        number=number,
        label=label,
        type=kind,
        type_name=scope + of if of else None,
      )
  pool = descriptor_pool.DescriptorPool()
  pool.Add(file)
  return message_factory.GetMessageClass(
    pool.FindMessageTypeByName(f'{file.package}.Checkpoint')
  )

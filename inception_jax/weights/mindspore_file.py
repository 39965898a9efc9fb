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
from google.protobuf import text_format
import ml_dtypes  # noqa: F401 (registers bfloat16 with numpy)
import numpy as np

_DTYPES = {
  name: np.dtype(name.lower())
  for name in (
    *('Float16', 'Float32', 'Float64', 'BFloat16', 'Bool'),
    *('Int8', 'Int16', 'Int32', 'Int64'),
    *('UInt8', 'UInt16', 'UInt32', 'UInt64'),
  )
}
# Its names differ from MindSpore's, so that one process can load both.
_PROTO = """
name: 'inception_jax/mindspore_checkpoint.proto'
package: 'inception_jax.mindspore'
syntax: 'proto2'
message_type {
  name: 'Tensor'
  field { name: 'dims' number: 1 label: LABEL_REPEATED type: TYPE_INT64 }
  field {
    name: 'tensor_type' number: 2 label: LABEL_REQUIRED type: TYPE_STRING
  }
  field {
    name: 'tensor_content' number: 3 label: LABEL_REQUIRED type: TYPE_BYTES
  }
}
message_type {
  name: 'Value'
  field { name: 'tag' number: 1 label: LABEL_REQUIRED type: TYPE_STRING }
  field {
    name: 'tensor' number: 2 label: LABEL_REQUIRED type: TYPE_MESSAGE
    type_name: '.inception_jax.mindspore.Tensor'
  }
}
message_type {
  name: 'Checkpoint'
  field {
    name: 'value' number: 1 label: LABEL_REPEATED type: TYPE_MESSAGE
    type_name: '.inception_jax.mindspore.Value'
  }
}
"""
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
  """Returns the protobuf class of a checkpoint."""
  file = text_format.Parse(_PROTO, descriptor_pb2.FileDescriptorProto())
  pool = descriptor_pool.DescriptorPool()
  pool.Add(file)
  return message_factory.GetMessageClass(
    pool.FindMessageTypeByName(f'{file.package}.Checkpoint')
  )

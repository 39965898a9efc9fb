"""Refuses artifacts that do more than compute logits.

An artifact is a program. Those that tools.export writes have only operations
that compute. Others may read and write files, call Python, or declare arrays
that exhaust memory.
"""

from collections.abc import Iterable
from collections.abc import Iterator
import math
import pathlib

import numpy as np

from inception_jax import extras
from inception_jax.weights import limits
from inception_jax.weights import readers

# A constant of equal numbers is one number in a file.
_SPLATS = 2**24  # bytes
_HLO_DIALECTS = ('builtin', 'func', 'stablehlo', 'chlo', 'sdy')
# They exchange data with the host.
_HLO_HOST = ('infeed', 'outfeed', 'send', 'recv')
_HLO_CALLS = ('shape_assertion',)
# Of a TensorFlow program: what computes tensors from tensors, and control flow.
_TF_OPERATIONS = frozenset(
  """
  Abs Add AddN AddV2 All Any ArgMax ArgMin Assert BatchMatMulV2 BiasAdd Bitcast
  BitwiseAnd BitwiseOr BitwiseXor BroadcastTo Case Cast Ceil ClipByValue
  ConcatV2 Const CropAndResize Cumprod Cumsum DecodeAndCropJpeg DecodeBmp
  DecodeGif DecodeImage DecodeJpeg DecodePng DecodeRaw DecodeWebP Div Empty
  EnsureShape Equal Exp ExpandDims ExtractJpegShape Fill Floor FloorDiv FloorMod
  GatherNd GatherV2 Greater GreaterEqual Identity IdentityN If InvertPermutation
  LeftShift Less LessEqual LogSoftmax LogicalAnd LogicalNot LogicalOr MatMul Max
  Maximum Mean Min Minimum Mod Mul Neg NoOp NotEqual OneHot OnesLike Pack Pad
  PadV2 PartitionedCall Placeholder PlaceholderWithDefault Pow PreventGradient
  Prod Range Rank ReadVariableOp RealDiv Reciprocal ReduceJoin RegexFullMatch
  Relu Reshape
  ResizeArea ResizeBicubic ResizeBilinear ResizeNearestNeighbor ReverseV2
  RightShift Round Rsqrt ScaleAndTranslate Select SelectV2 Shape ShapeN Sign
  Size Slice Softmax Split SplitV Sqrt Square Squeeze StatefulPartitionedCall
  StatelessCase StatelessIf StatelessWhile StaticRegexFullMatch StopGradient
  StridedSlice StringFormat StringJoin StringLength StringSplitV2 Sub Substr Sum
  TensorListConcatV2 TensorListElementShape TensorListFromTensor
  TensorListGather TensorListGetItem TensorListLength TensorListPushBack
  TensorListReserve TensorListResize TensorListSetItem TensorListStack Tile
  Transpose TruncateDiv TruncateMod Unpack Where While XlaCallModule ZerosLike
  """.split()
)
_TF_OBJECTS = ('user_object', 'function', 'bare_concrete_function', 'variable')


def check_stablehlo(module: bytes) -> None:
  """Checks a serialized module of StableHLO.

  Raises:
    ValueError: it has calls or operations that no network has, or constants
      that are larger than the module.
  """
  from jax.extend.mlir import ir
  from jax.extend.mlir.dialects import stablehlo
  from jax.interpreters import mlir

  found, constants = set(), []

  def visit(operation):
    dialect, _, kind = operation.name.partition('.')
    if operation.name == 'stablehlo.custom_call':
      target = operation.attributes['call_target_name'].value
      if target not in _HLO_CALLS:
        found.add(target)
    elif dialect not in _HLO_DIALECTS or kind in _HLO_HOST:
      found.add(operation.name)
    elif operation.name == 'stablehlo.constant':
      kind = ir.RankedTensorType(operation.results[0].type)
      constants.append(math.prod(kind.shape) * -(-kind.element_type.width // 8))
    return ir.WalkResult.ADVANCE

  context = mlir.make_ir_context()
  parsed = stablehlo.deserialize_portable_artifact(context, module)
  parsed.operation.walk(visit)
  _refuse(found)
  limits.check_size(sum(constants), len(module) + _SPLATS)


def check_saved_model(path: str) -> None:
  """Checks what `tf.saved_model.load` and the signatures of a folder run.

  Raises:
    ValueError: it has objects or operations that no network has, or variables
      that are larger than their files.
  """
  from tensorflow.core.protobuf import saved_model_pb2

  content = pathlib.Path(path, 'saved_model.pb').read_bytes()
  saved = saved_model_pb2.SavedModel.FromString(content)
  if [x.HasField('object_graph_def') for x in saved.meta_graphs] != [True]:
    raise ValueError('it is not a SavedModel of TensorFlow 2')  # runs the graph
  (meta,) = saved.meta_graphs
  found, nbytes = set(), 0
  for node in meta.object_graph_def.nodes:
    kind = node.WhichOneof('kind')
    if kind not in _TF_OBJECTS or node.registered_saver:
      found.add(f'a {kind} of its own')
  functions = {f.signature.name: f for f in meta.graph_def.library.function}
  for node in _nodes(functions, meta.object_graph_def.concrete_functions):
    if node.op not in _TF_OPERATIONS and node.op not in functions:
      found.add(node.op)
    elif node.op == 'XlaCallModule':
      check_stablehlo(node.attr['module'].s)
    elif node.op == 'Const':
      nbytes += _nbytes_of_constant(node.attr['value'].tensor)
  _refuse(found)
  limits.check_size(nbytes, len(content) + _SPLATS)
  readers.open_tf_checkpoint(f'{path}/variables/variables')


def _nodes(functions, names: Iterable[str]) -> Iterator:
  """Yields the nodes of functions, and of all that they call.

  TensorFlow's saver, which restores no object here, is called by none of them.
  """
  seen, pending = set(), list(names)
  while pending:
    if (name := pending.pop()) in seen:
      continue
    seen.add(name)
    for node in functions[name].node_def:
      yield node
      called = [node.op] if node.op in functions else []
      for value in node.attr.values():
        called += [x.name for x in (value.func, *value.list.func) if x.name]
      pending += called


def _nbytes_of_constant(tensor) -> int:
  import tensorflow as tf

  size = math.prod(abs(dim.size) for dim in tensor.tensor_shape.dim)
  return size * tf.dtypes.as_dtype(tensor.dtype).size


def check_onnx(content: bytes) -> None:
  """Checks an ONNX file.

  Raises:
    ValueError: it has operators that are not of the standard, has values in
      other files, or declares more of them than it has bytes.
  """
  with extras.imports():
    import onnx
    from onnx import helper

  model = onnx.ModelProto.FromString(content)
  found = {f.name for f in model.functions}
  tensors = list(model.graph.initializer)
  if model.graph.sparse_initializer:
    found.add('a sparse initializer')
  for node in model.graph.node:
    if node.domain not in ('', 'ai.onnx'):
      found.add(f'{node.domain}.{node.op_type}')
    for value in node.attribute:
      if value.HasField('g') or value.graphs:
        found.add(node.op_type)
      if value.HasField('sparse_tensor') or value.sparse_tensors:
        found.add('a sparse tensor')
      tensors += [value.t, *value.tensors]
  if any(x.data_location or x.external_data for x in tensors):
    found.add('external data')
  _refuse(found)
  nbytes = sum(
    math.prod(map(abs, x.dims))
    * helper.tensor_dtype_to_np_dtype(x.data_type).itemsize
    for x in tensors
    if x.data_type
  )
  limits.check_size(nbytes, len(content) + _SPLATS)


def check_litert(model: bytes) -> None:
  """Checks a LiteRT model.

  Raises:
    ValueError: it has custom operators, has values in other files, or declares
      tensors that no network has.
  """
  with extras.imports():
    from ai_edge_litert import schema_py_generated as schema

  root = schema.Model.GetRootAs(model)
  found = set()
  if root.ExternalBuffersLength() or root.ExternalBufferGroupsLength():
    found.add('external buffers')
  for i in range(root.OperatorCodesLength()):
    if name := root.OperatorCodes(i).CustomCode():
      found.add(name.decode(errors='replace'))
  _refuse(found)
  graphs = [root.Subgraphs(i) for i in range(root.SubgraphsLength())]
  shapes = [
    graph.Tensors(i).ShapeAsNumpy()
    for graph in graphs
    for i in range(graph.TensorsLength())
  ]
  # ShapeAsNumpy is 0 for a scalar.
  sizes = [math.prod(abs(int(n)) for n in np.atleast_1d(x)) for x in shapes]
  limits.check_size(4 * sum(sizes))


def _refuse(found: set[str]) -> None:
  if found:
    names = ', '.join(name[:30] for name in sorted(found)[:3])
    raise ValueError(
      f'exported networks do not have {names}; add --trust if you would run it '
      'as a program'
    )

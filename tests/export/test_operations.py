"""Artifacts that do more than compute logits run only where they are trusted.

Each is sealed, as its maker can do, too.
"""

import json
import shutil
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception_jax.errors import UserError
from inception_jax.export import formats
from inception_jax.export import metadata
from inception_jax.export import onnx_file
from inception_jax.export import operations

CARD = 'assets.extra/inception_jax.json'
DECLARES = r'declares \d+ bytes of arrays'


@pytest.fixture(scope='module')
def card_json(weights):
  return metadata.to_json(weights, weights.variables, 5)


def assert_refused(path, *reasons):
  with pytest.raises(UserError) as error:
    formats.load(str(path))
  for reason in (*reasons, '--trust'):
    assert reason in str(error.value)


def write_stablehlo(path, function, card_json, **options):
  exported = jax.export.export(
    jax.jit(function),
    disabled_checks=[jax.export.DisabledSafetyCheck.custom_call('evil')],
  )(jax.ShapeDtypeStruct((1, 16, 16, 3), jnp.float32))
  module = bytes(exported.serialize())
  with zipfile.ZipFile(path, 'w', **options) as file:
    file.writestr('module.bin', module)
    file.writestr('card.json', metadata.seal(card_json, [module]))


def test_stablehlo_does_not_call_out(tmp_path, card_json):
  shape = jax.ShapeDtypeStruct((1, 6), jnp.float32)
  path = tmp_path / 'x.stablehlo'
  write_stablehlo(path, jax.ffi.ffi_call('evil', shape), card_json)
  assert_refused(path, 'do not have evil')
  formats.load(str(path), trust=True)

  # In a region of another operation, too.
  def nested(images):
    return jax.lax.cond(
      images.sum() > 0,
      jax.ffi.ffi_call('evil', shape),
      lambda x: jnp.zeros((1, 6)),
      images,
    )

  write_stablehlo(path, nested, card_json)
  assert_refused(path, 'do not have evil')


def test_stablehlo_is_no_larger_in_memory_than_in_its_file(tmp_path, card_json):
  zeros = np.zeros(2**23, np.float32)
  path = tmp_path / 'x.stablehlo'
  write_stablehlo(path, lambda x: x.sum() + jnp.asarray(zeros), card_json)
  assert path.stat().st_size < 2**16
  with pytest.raises(UserError, match=DECLARES):
    formats.load(str(path))
  weights = np.random.default_rng(0).normal(size=10).astype(np.float32)
  write_stablehlo(
    path, lambda x: x.sum() + weights, card_json, compression=zipfile.ZIP_LZMA
  )
  with pytest.raises(UserError, match=r'module\.bin is compressed'):
    formats.load(str(path))


@pytest.fixture(scope='module')
def exported_model(weights, tmp_path_factory):
  path = tmp_path_factory.mktemp('saved_model') / 'network'
  formats.FORMATS['savedmodel'].save(weights, str(path), 5)
  return path


@pytest.fixture
def saved_model(exported_model, tmp_path):
  """A copy to damage."""
  return shutil.copytree(exported_model, tmp_path / 'saved')


def seal_again(path):
  card = path / CARD
  values = json.loads(card.read_text())
  del values['sha256']
  content = formats.saved_model.read(str(path))[1]
  card.write_text(metadata.seal(json.dumps(values), content))


def write_module(path, call, card_json, **resources):
  """Writes a SavedModel whose signature runs `call` first."""
  import tensorflow as tf

  module = tf.Module()
  module.bias = tf.Variable(tf.zeros(6))
  for name, value in resources.items():
    setattr(module, name, value)

  @tf.function(
    input_signature=[tf.TensorSpec((None, 16, 16, 3), tf.float32, 'images')],
    autograph=False,
  )
  def of_images(images):
    call()
    logits = tf.reduce_sum(images, (1, 2, 3))[:, None] + module.bias
    return {'logits': logits}

  tf.saved_model.save(module, str(path), {'serving_default': of_images})
  (path / CARD).parent.mkdir()
  (path / CARD).write_text(
    metadata.seal(card_json, formats.saved_model.read(str(path))[1])
  )


def test_saved_model_touches_no_files(tmp_path, card_json):
  import tensorflow as tf

  trace = str(tmp_path / 'trace')

  def write():
    tf.io.write_file(trace, 'x')

  inner = tf.function(write, autograph=False)
  read = lambda: tf.print(tf.io.read_file(trace))
  python = lambda: tf.py_function(print, [], [])
  branch = lambda: tf.cond(tf.constant(True), inner, inner)
  table = tf.lookup.StaticHashTable(
    tf.lookup.KeyValueTensorInitializer(['a'], [1]), 0
  )
  images = np.zeros((1, 16, 16, 3), np.float32)
  for name, call, resources, reason in (
    ('none', lambda: None, {}, ''),
    ('write', write, {}, 'WriteFile'),
    ('inner', inner, {}, 'WriteFile'),
    ('read', read, {}, 'PrintV2, ReadFile'),
    ('branch', branch, {}, 'WriteFile'),
    ('python', python, {}, 'EagerPyFunc'),
    ('table', lambda: None, {'table': table}, 'HashTableV2'),
  ):
    path = tmp_path / name
    write_module(path, call, card_json, **resources)
    if not reason:
      formats.load(str(path)).classify(images)
      continue
    assert_refused(path, reason)
    assert not (tmp_path / 'trace').exists()
  formats.load(str(tmp_path / 'write'), trust=True).classify(images)
  assert (tmp_path / 'trace').exists()


def test_saved_model_does_not_run_its_graph(saved_model):
  """As of TensorFlow 1, whose initializers run when it is loaded."""
  from tensorflow.core.protobuf import saved_model_pb2

  file = saved_model / 'saved_model.pb'
  saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
  saved.meta_graphs[0].ClearField('object_graph_def')
  file.write_bytes(saved.SerializeToString())
  seal_again(saved_model)
  with pytest.raises(UserError, match='not a SavedModel of TensorFlow 2'):
    formats.load(str(saved_model))


def test_saved_model_has_its_values_itself(saved_model, tmp_path):
  from tensorflow.core.protobuf import saved_model_pb2

  copy = tmp_path / 'copy'
  shutil.copytree(saved_model, copy)
  (data,) = copy.glob('variables/*.data-*')
  data.write_bytes(data.read_bytes()[:100])
  seal_again(copy)
  with pytest.raises(UserError, match=DECLARES):
    formats.load(str(copy))

  file = saved_model / 'saved_model.pb'
  saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
  (meta,) = saved.meta_graphs
  functions = {f.signature.name: f for f in meta.graph_def.library.function}
  called = operations._nodes(
    functions, meta.object_graph_def.concrete_functions
  )
  node = next(n for n in called if n.op == 'Const')
  node.attr['value'].tensor.tensor_shape.dim.add(size=2**30)
  file.write_bytes(saved.SerializeToString())
  seal_again(saved_model)
  with pytest.raises(UserError, match=DECLARES):
    formats.load(str(saved_model))


def write_onnx(path, model, card_json):
  del model.metadata_props[:]
  content = model.SerializeToString()
  content += onnx_file._only_metadata(metadata.seal(card_json, [content]))
  path.write_bytes(content)


def test_onnx_is_one_file_of_standard_operators(weights, tmp_path, card_json):
  import onnx

  path = tmp_path / 'x.onnx'
  formats.FORMATS['onnx'].save(weights, str(path), 5)
  content = path.read_bytes()
  fresh = lambda: onnx.ModelProto.FromString(content)
  (tmp_path / 'secret').write_bytes(bytes(1000))

  model = fresh()
  write_onnx(path, model, card_json)
  formats.load(str(path))

  tensor = model.graph.initializer[0]
  tensor.ClearField('raw_data')
  tensor.data_location = onnx.TensorProto.EXTERNAL
  tensor.external_data.add(key='location', value='secret')
  write_onnx(path, model, card_json)
  assert_refused(path, 'external data')

  model = fresh()
  last = model.graph.node[-1]
  assert list(last.output) == ['logits']
  last.output[0] = model.graph.output[0].name = 'other'
  write_onnx(path, model, card_json)
  with pytest.raises(UserError, match='no output called logits'):
    formats.load(str(path))

  model = fresh()
  model.graph.node[0].domain = 'com.evil'
  write_onnx(path, model, card_json)
  assert_refused(path, 'com.evil.')

  model = fresh()
  body = onnx.helper.make_graph([], 'body', [], [])
  model.graph.node.append(onnx.helper.make_node('Loop', [], [], body=body))
  write_onnx(path, model, card_json)
  assert_refused(path, 'Loop')

  model = fresh()
  model.graph.initializer.add(data_type=1, dims=[2**20, 2**20])
  # A negative size takes nothing from the sum.
  for last in (1, -(2**20)):
    model.graph.initializer.add(data_type=1, dims=[2**20, last])
    write_onnx(path, model, card_json)
    with pytest.raises(UserError, match=DECLARES):
      formats.load(str(path))


@pytest.mark.slow
def test_litert_declares_no_large_tensors(weights, tmp_path):
  from ai_edge_litert import schema_py_generated as schema
  import flatbuffers

  path = tmp_path / 'x.tflite'
  formats.FORMATS['litert'].save(weights, str(path), 5)
  model = formats.FORMATS['litert'].file._model(str(path))

  def changed(change):
    parsed = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model))
    change(parsed)
    builder = flatbuffers.Builder()
    builder.Finish(parsed.Pack(builder), b'TFL3')
    return bytes(builder.Output())

  operations.check_litert(changed(lambda parsed: None))

  def large(parsed):
    parsed.subgraphs[0].tensors[1].shape = [-(2**20), 2**20]

  with pytest.raises(ValueError, match=DECLARES):
    operations.check_litert(changed(large))

  def custom(parsed):
    parsed.operatorCodes[0].customCode = b'FlexReadFile'

  with pytest.raises(ValueError, match='FlexReadFile'):
    operations.check_litert(changed(custom))

  def external(parsed):
    parsed.externalBuffers = [schema.ExternalBufferT()]

  with pytest.raises(ValueError, match='external buffers'):
    operations.check_litert(changed(external))


def test_metadata_that_nest_deeply_are_one_error(tmp_path):
  path = tmp_path / 'x.stablehlo'
  with zipfile.ZipFile(path, 'w') as file:
    file.writestr('module.bin', b'')
    file.writestr('card.json', '[' * 100_000)
  with pytest.raises(UserError, match='it has no metadata'):
    formats.load(str(path))

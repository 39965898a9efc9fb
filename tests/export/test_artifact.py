"""What is exported computes what the network does, and says what it is."""

import dataclasses
import io
import json
import shutil
import struct
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest

from configs import inception_v3
from inception_jax.data import decode
from inception_jax.errors import UserError
from inception_jax.evaluation import evaluate
from inception_jax.export import artifact as artifact_lib
from inception_jax.export import comparison
from inception_jax.export import evaluation
from inception_jax.models import card
from inception_jax.models import factory
from inception_jax.models import fold
from inception_jax.weights import pretrained
from tests.support.commands import tool
from tests.support.pictures import CLASSES
from tests.support.pictures import config_of
from tests.support.pictures import drawn
from tests.support.pictures import saved
from tests.support.pictures import weights_of


@pytest.fixture(scope='module')
def run(pictures, tmp_path_factory):
  return saved(tmp_path_factory.mktemp('runs') / 'a', config_of(pictures), 0)


@pytest.fixture(scope='module')
def weights(run, one_device):
  return pretrained.find('', run, one_device)[1]


@pytest.fixture(scope='module', params=artifact_lib.FORMATS)
def file_format(request):
  return request.param


@pytest.fixture(scope='module')
def exported(file_format, weights, tmp_path_factory):
  where = tmp_path_factory.mktemp(file_format)
  path = str(where / f'network{artifact_lib.ENDINGS[file_format]}')
  artifact_lib.save(weights, path, file_format, 5)
  return path


@pytest.mark.parametrize(
  ('name', 'size', 'more', 'counted', 'whole_numbers'),
  [
    ('inception_v3', 75, {'aux_head': True}, False, False),
    ('inception_v3', 75, {}, True, False),
    ('inception_v4', 75, {'head_batch_norm': True}, False, False),
    ('inception_v4', 75, {}, False, True),
    ('cifar_inception_resnet_v2', 32, {}, False, False),
  ],
)
def test_folding_changes_nothing_but_roundings(
  name, size, more, counted, whole_numbers
):
  model = factory.create(name, 7, width=0.1, **more)
  model = model.clone(
    options=dataclasses.replace(model.options, count_include_pad=counted)
  )
  images = jax.random.normal(jax.random.key(1), (2, size, size, 3))
  variables = drawn(model, size)
  folded, less = fold.fold(model, variables, False, whole_numbers)
  assert less.keys() == {'params'}
  wanted = jax.eval_shape(folded.init, jax.random.key(0), images)['params']
  assert jax.tree.map(jnp.shape, less['params']) == jax.tree.map(
    jnp.shape, wanted
  )
  before = jax.jit(model.apply)(variables, images)[0]
  after = jax.jit(folded.apply)(less, images)[0]
  np.testing.assert_allclose(
    after, before, atol=2e-5 * float(jnp.abs(before).max())
  )
  # Averages are of fewer channels, unless that would change them.
  whole, _ = fold.fold(model, variables, False, True)
  fewer = averaged(folded, less, images) < averaged(whole, less, images)
  assert fewer != (counted or whole_numbers or name.startswith('cifar'))


def averaged(model, variables, images):
  """How many numbers the averages are of."""
  traced = jax.make_jaxpr(model.apply)(variables, images)
  averages = [x for x in traced.eqns if x.primitive.name == 'reduce_window_sum']
  assert averages
  return sum(x.invars[0].aval.size for x in averages)


def test_an_artifact_computes_what_the_network_does(
  weights, exported, file_format
):
  artifact = artifact_lib.load(exported)
  found = comparison.compare(weights, artifact.classify)
  if file_format == 'litert_int8':
    assert 1e-4 < found['relative_diff'] < 0.05
    assert found['top5_agreement'] >= 0.75
  else:
    assert found['relative_diff'] < 1e-5
    assert found['top5_agreement'] == 1.0
  assert artifact.classes == CLASSES
  assert artifact.card == weights.card
  assert artifact.model == weights.model
  images = np.random.default_rng(0).normal(size=(7, 16, 16, 3))
  images = images.astype(np.float32)
  at_once = artifact.classify(images)
  assert at_once.shape == (7, 6)
  one_by_one = [artifact.classify(images[i : i + 1])[0] for i in range(7)]
  np.testing.assert_allclose(at_once, one_by_one, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_full_size_network_in_every_format(tmp_path):
  config = factory.resolve(inception_v3.get_config())
  weights = weights_of(config, 1000)
  images = comparison.images(299, 3)[3:5]  # noise, and a photograph
  params = weights.variables['params']
  own = {name: value for name, value in params.items() if name != 'aux'}
  parameters = sum(x.nbytes for x in jax.tree.leaves(own))
  assert parameters == 4 * 23_834_568
  for file_format in artifact_lib.FORMATS:
    path = str(tmp_path / f'v3{artifact_lib.ENDINGS[file_format]}')
    artifact_lib.save(weights, path, file_format, 0, images)
    artifact = artifact_lib.load(path)
    assert artifact.card == weights.card
    found = comparison.compare(weights, artifact.classify, images)
    size = artifact_lib.size_of(path) / parameters
    if file_format == 'litert_int8':
      assert 1e-4 < found['relative_diff'] < 0.05
      assert size < 0.27
    else:
      assert found['relative_diff'] < 1e-5
      assert found['top5_agreement'] == 1.0
      assert size < 1.02


def test_comparing_notices_another_network(weights, exported, file_format):
  classify = artifact_lib.load(exported).classify
  bound = artifact_lib.BOUNDS[file_format]
  found = comparison.compare(weights, lambda x: (1 + 2 * bound) * classify(x))
  assert found['relative_diff'] > bound


def test_an_artifact_is_evaluated_as_the_network_is(
  pictures,
  run,
  exported,
  file_format,
  one_device,
):
  config = config_of(pictures, eval_protocol='mirror')
  options = evaluate.Options((run,))
  ours = evaluate.evaluate(config, '', one_device, options)
  theirs = evaluation.evaluate_artifact(
    config, artifact_lib.load(exported), one_device, options
  )
  if file_format == 'litert_int8':
    assert theirs.result['count'] == 23
    assert theirs.result['loss'] == pytest.approx(ours.result['loss'], rel=0.1)
    return
  assert theirs.result == {
    key: pytest.approx(value, abs=1e-5) if key == 'loss' else value
    for key, value in ours.result.items()
    if key != 'step'
  }
  np.testing.assert_array_equal(
    theirs.columns['classes'], ours.columns['classes']
  )


def test_onnx_is_one_file_that_others_can_read(weights, tmp_path):
  import onnx

  path = tmp_path / 'x.onnx'
  artifact_lib.save(weights, str(path), 'onnx', 5)
  assert [p.name for p in tmp_path.iterdir()] == ['x.onnx']
  model = onnx.load(path)
  onnx.checker.check_model(model, full_check=True)
  assert [(o.domain, o.version) for o in model.opset_import] == [('', 18)]
  (given,) = model.graph.input
  dims = given.type.tensor_type.shape.dim
  assert given.name == 'images'
  assert [d.dim_param or d.dim_value for d in dims] == ['B', 3, 16, 16]
  (output,) = model.graph.output
  dims = output.type.tensor_type.shape.dim
  assert output.name == 'logits'
  assert [d.dim_param or d.dim_value for d in dims] == ['B', 6]
  kinds = [node.op_type for node in model.graph.node]
  assert 'BatchNormalization' not in kinds
  assert kinds.count('Transpose') <= 6
  says = {p.key: p.value for p in model.metadata_props}['inception_jax']
  assert json.loads(says)['step'] == 5


@pytest.fixture(scope='module')
def served(weights, tmp_path_factory):
  path = str(tmp_path_factory.mktemp('served') / 'network')
  artifact_lib.save(weights, path, 'savedmodel', 5)
  return path


EXIF = Image.Exif()
EXIF[0x0112] = 6


def picture(i, kind, **options):
  pixels = np.random.default_rng(i).integers(0, 256, (4, 3, 3), np.uint8)
  file = io.BytesIO()
  Image.fromarray(pixels).resize((40 + i, 30)).save(file, kind, **options)
  return file.getvalue()


def test_a_saved_model_takes_encoded_images(weights, served):
  import tensorflow as tf

  frames = [Image.new('RGB', (60, 50), color) for color in ('red', 'blue')]
  encoded = [
    picture(0, 'jpeg'),
    picture(1, 'png'),
    picture(2, 'bmp'),
    picture(3, 'gif'),
    picture(4, 'gif', comment=b'c' * 600),
    picture(5, 'gif'),
    picture(6, 'webp'),
    picture(7, 'webp', lossless=True),
    picture(8, 'webp', lossless=True, exif=EXIF),
  ]
  data = card.data_of(weights.card)
  images = [decode.eval_image(tf.constant(x), data, False) for x in encoded]
  # Of a GIF its first frame, whatever comes after it.
  encoded[5] = picture(5, 'gif', append_images=frames, save_all=True)
  loaded = tf.saved_model.load(served)
  found = loaded.signatures['encoded'](encoded=tf.constant(encoded))
  images = (np.float32(images) - np.float32(127.5)) / np.float32(127.5)
  classify = artifact_lib.load(served).classify
  np.testing.assert_allclose(found['logits'], classify(images), atol=1e-5)
  odds = found['probabilities'].numpy()
  np.testing.assert_allclose(odds.sum(axis=1), 1, rtol=1e-5)


def huge(kind, at, form, *size, word=b'', **options):
  """An image whose header says another size, at so many bytes after a word."""
  encoded = bytearray(picture(0, kind, **options))
  at += encoded.index(word)
  encoded[at : at + struct.calcsize(form)] = struct.pack(form, *size)
  return bytes(encoded)


def test_a_saved_model_decodes_nothing_that_is_too_large(served):
  import tensorflow as tf

  sos = b'\x2c' + struct.pack('<HHHH', 0, 0, 40, 30)
  lossless = {'lossless': True}
  bits = 16383 | 9999 << 14
  palette = io.BytesIO()
  Image.new('P', (40, 30)).save(palette, 'BMP')
  says = '{}×{} is more than data.max_pixels=80000000'.format
  hostile = {
    'JPEG': (
      huge('jpeg', 5, '>HH', 60000, 60000, word=b'\xff\xc0'),
      'more pixels than data.max_pixels',
    ),
    'PNG': (huge('png', 16, '>II', 60001, 60000), says(60001, 60000)),
    'PNG whose product is none': (
      huge('png', 16, '>II', 2**32 - 1, 2**32 - 1),
      says(2**32 - 1, 2**32 - 1),
    ),
    'GIF': (huge('gif', 6, '<HH', 60001, 60000), says(60001, 60000)),
    'frame of a GIF': (
      huge('gif', 5, '<HH', 60001, 60000, word=sos, comment=b'c' * 600),
      says(60001, 60000),
    ),
    'BMP': (huge('bmp', 18, '<ii', 60001, 60000), says(60001, 60000)),
    'BMP from the top': (
      huge('bmp', 18, '<ii', 60001, -60000),
      says(60001, 60000),
    ),
    'WebP': (huge('webp', 26, '<HH', 16383, 16382), says(16383, 16382)),
    'lossless WebP': (
      huge('webp', 21, '<I', bits, **lossless),
      says(16384, 10000),
    ),
    'WebP with more': (
      huge('webp', 24, '<HBHB', 59999, 0, 59998, 0, exif=EXIF),
      says(60000, 59999),
    ),
    'BMP with a palette': (
      palette.getvalue(),
      'a BMP with a palette: not supported',
    ),
    'junk': (b'junk', 'no image of a known kind'),
    'nothing': (b'', 'no image of a known kind'),
  }
  signature = tf.saved_model.load(served).signatures['encoded']
  for name, (encoded, reason) in hostile.items():
    with pytest.raises(tf.errors.InvalidArgumentError) as raised:
      signature(encoded=tf.constant([picture(0, 'png'), encoded]))
    assert reason in str(raised.value), name


def test_int8_is_calibrated_by_the_images_given(weights, tmp_path):
  from ai_edge_litert import interpreter

  images = comparison.images(16, 3)
  everything = comparison.normalised(weights.card, images)
  logits = []
  for name, given in {'all': images, 'dark': images // 16}.items():
    path = tmp_path / f'{name}.tflite'
    artifact_lib.save(weights, str(path), 'litert_int8', 5, given)
    (first, *_) = interpreter.Interpreter(str(path)).get_input_details()
    assert first['dtype'] == np.float32
    assert list(first['shape']) == [1, 16, 16, 3]
    classify = artifact_lib.load(str(path)).classify
    assert comparison.compare(weights, classify, given)['relative_diff'] < 0.05
    logits.append(classify(everything))
  assert not np.allclose(*logits)


def test_stablehlo_is_for_every_platform(weights, tmp_path):
  from jax import export

  path = tmp_path / 'x.stablehlo'
  artifact_lib.save(weights, str(path), 'stablehlo', 5)
  with zipfile.ZipFile(path) as file:
    module = export.deserialize(bytearray(file.read('module.bin')))
  assert set(module.platforms) == {'cpu', 'cuda', 'tpu'}


def test_a_saved_model_is_for_every_platform(served):
  from tensorflow.core.protobuf import saved_model_pb2

  with open(f'{served}/saved_model.pb', 'rb') as file:
    saved = saved_model_pb2.SavedModel.FromString(file.read())
  (meta,) = saved.meta_graphs
  parts = {field.name: part for field, part in meta.graph_def.ListFields()}
  (module,) = (
    node
    for function in parts['library'].function
    for node in function.node_def
    if node.op == 'XlaCallModule'
  )
  assert set(module.attr['platforms'].list.s) == {b'CPU', b'CUDA', b'TPU'}


def test_what_is_damaged_or_of_others_is_refused(exported, tmp_path):
  with pytest.raises(UserError, match='no such artifact'):
    artifact_lib.load(str(tmp_path / 'none.onnx'))
  (tmp_path / 'x.txt').write_text('x')
  with pytest.raises(UserError, match=r'expected \*\.onnx'):
    artifact_lib.load(str(tmp_path / 'x.txt'))
  if exported.endswith('network'):
    copy = tmp_path / 'copy'
    shutil.copytree(exported, copy)
    graph = copy / 'saved_model.pb'
    graph.write_bytes(graph.read_bytes()[:1000])
  else:
    ending = exported.rpartition('.')[2]
    copy = tmp_path / f'copy.{ending}'
    with open(exported, 'rb') as file:
      copy.write_bytes(file.read()[:-1000])
  with pytest.raises(UserError, match='cannot be read'):
    artifact_lib.load(str(copy))


def test_onnx_without_a_card_is_refused(tmp_path):
  import onnx
  from onnx import helper

  value = lambda name: helper.make_tensor_value_info(name, 1, [1, 3])
  node = helper.make_node('Relu', ['images'], ['logits'])
  graph = helper.make_graph([node], 'g', [value('images')], [value('logits')])
  opsets = [helper.make_opsetid('', 18)]
  model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
  onnx.save(model, tmp_path / 'x.onnx')
  with pytest.raises(UserError, match='it has no card'):
    artifact_lib.load(str(tmp_path / 'x.onnx'))


@pytest.mark.slow
def test_from_the_command_line(pictures, run, tmp_path):
  path = tmp_path / 'network.onnx'
  flags = (f'--workdir={run}', '--format=onnx')
  images = f'--calibration={pictures}'
  done = tool('export', *flags, images, f'--output={path}.txt')
  assert done.returncode == 2
  assert 'expected a name that ends in .onnx' in done.stderr
  assert '--calibration is for --format=litert_int8 alone' in done.stderr
  done = tool('export', *flags, f'--output={path}')
  assert done.returncode == 0, done.stderr
  result = json.loads(done.stdout.splitlines()[-1])
  assert result['max_abs_diff'] < 1e-4
  assert result['top5_agreement'] == 1.0
  assert result['bytes'] == path.stat().st_size
  small = tmp_path / 'small.tflite'
  int8 = (f'--workdir={run}', '--format=litert_int8', f'--output={small}')
  done = tool('export', *int8, f'--calibration={tmp_path}/none')
  assert done.returncode == 2
  assert '/none: no such folder' in done.stderr
  junk = tmp_path / 'junk' / 'bad.png'
  junk.parent.mkdir()
  junk.write_text('junk')
  done = tool('export', *int8, f'--calibration={junk.parent}')
  assert done.returncode == 2
  assert f'{junk}: no image of a known kind' in done.stderr
  assert 'none can be read' in done.stderr
  done = tool('export', *int8, images)
  assert done.returncode == 0, done.stderr
  assert 'calibrating on 23 images' in done.stderr
  result = json.loads(done.stdout.splitlines()[-1])
  assert 1e-4 < result['relative_diff'] < 0.05
  done = tool(
    'evaluate_artifact',
    '--config=configs/digits.py',
    f'--artifact={path}',
    '--config.data.source=folder',
    f'--config.data.dir={pictures}',
    '--config.data.eval_split=val',
    f'--output={tmp_path}/output',
  )
  assert done.returncode == 0, done.stderr
  assert json.loads(done.stdout.splitlines()[-1])['count'] == 23
  assert (tmp_path / 'output' / 'predictions.csv').exists()
  images = tmp_path / 'images'
  shutil.copytree(pictures / 'val' / 'dog', images / 'dog')
  (images / 'bad.png').write_text('junk')
  found = []
  for flag in (f'--artifact={path}', f'--workdir={run}'):
    done = tool('predict', flag, str(images), '--batch_size=3', '--json')
    assert done.returncode == 1
    assert f'{images}/bad.png: no image of a known kind' in done.stderr
    *lines, line = done.stdout.splitlines()
    result = json.loads(line)
    assert result['images'] == len(lines) == 4
    assert list(result['failed']) == [f'{images}/bad.png']
    assert [json.loads(x) for x in lines] == result['predictions']
    found.append(result['predictions'])
  for ours, theirs in zip(*found, strict=True):
    assert ours['image'] == theirs['image']
    for a, b in zip(ours['classes'], theirs['classes'], strict=True):
      assert a['class'] == b['class']
      assert a['probability'] == pytest.approx(b['probability'], abs=1e-5)
  done = tool('predict', f'--workdir={run}', str(images / 'dog'))
  assert done.returncode == 0
  assert len(done.stdout.splitlines()) == 5
  names = tmp_path / 'names.txt'
  names.write_text('\n'.join('abcdef'))
  done = tool(
    'predict',
    f'--artifact={path}',
    str(images / 'dog'),
    f'--class_names={names}',
  )
  (first, *_) = json.loads(done.stdout.splitlines()[-1])['predictions']
  own = [guess['class'] for guess in result['predictions'][0]['classes']]
  assert [guess['class'] for guess in first['classes']] == [
    'abcdef'[CLASSES.index(name)] for name in own
  ]
  names.write_text('a\nb\n')
  done = tool(
    'predict', f'--artifact={path}', str(images), f'--class_names={names}'
  )
  assert done.returncode == 2
  (line,) = done.stderr.splitlines()
  assert line == f'error: {names} names 2 classes, there are 6'
  done = tool('predict', str(tmp_path / 'none'))
  assert done.returncode == 2
  assert len(done.stderr.splitlines()) == 2


def test_artifact_mistakes_end_in_a_line_each(tmp_path):
  done = tool('evaluate_artifact')
  assert done.returncode == 2
  assert len(done.stderr.splitlines()) == 2
  done = tool(
    'evaluate_artifact',
    '--config=configs/digits.py',
    f'--artifact={tmp_path}/none.onnx',
  )
  assert done.returncode == 2
  (line,) = done.stderr.splitlines()
  assert line == f'error: {tmp_path}/none.onnx: no such artifact'

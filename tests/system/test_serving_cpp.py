"""serving/cpp classifies images as Python does."""

import json
import os
import shutil
import struct
import subprocess

import numpy as np
from PIL import Image
import pytest
from scipy import special

from inception_jax.data import decode
from inception_jax.data.sources import image_tree
from inception_jax.export import formats
from inception_jax.export.format import Options
from inception_jax.models import card
from tests.support import hostile_images
from tests.support.commands import ROOT
from tests.support.commands import tool
from tests.support.pictures import DIGITS
from tests.support.pictures import digits_weights
from tests.support.pictures import random_weights
from tests.support.pictures import write_digits
from tests.support.tiny import tiniest_config
from tests.support.tiny import tiny_config

BINARY = ROOT / 'serving' / 'cpp' / 'build' / 'classify'
# Not set in a user's shell; the program sets what it needs.
UNSET = ('TF_CPP_MIN_LOG_LEVEL', 'TF_ENABLE_ONEDNN_OPTS', 'LD_LIBRARY_PATH')


def classify(*args, cwd=None):
  assert BINARY.exists(), f'no {BINARY.relative_to(ROOT)}: make cpp'
  env = {key: value for key, value in os.environ.items() if key not in UNSET}
  return subprocess.run(
    [BINARY, *map(str, args)],
    capture_output=True,
    text=True,
    timeout=120,
    env=env,
    cwd=cwd,
  )


def parse(done, status=0):
  """({image: its top classes}, the result)."""
  assert done.returncode == status, done.stderr
  *lines, result = map(json.loads, done.stdout.splitlines())
  assert len(lines) == result['images']
  return {x['image']: x['classes'] for x in lines}, result


def faults(done):
  assert done.returncode == 2, done.stderr
  assert not done.stdout
  return [x.removeprefix('error: ') for x in done.stderr.splitlines()]


@pytest.fixture(scope='module')
def images(tmp_path_factory):
  root = tmp_path_factory.mktemp('digits')
  write_digits(root)
  return root / 'val'


@pytest.fixture(scope='module')
def model(tmp_path_factory):
  """The network of configs/digits.py."""
  path = str(tmp_path_factory.mktemp('serving') / 'model')
  # The program takes the probabilities.
  options = Options(outputs=('logits', 'pooled'))
  formats.FORMATS['savedmodel'].save(digits_weights(), path, 5, options)
  return path


@pytest.fixture(scope='module')
def wanted(model):
  """Path of an image → its probabilities in Python."""
  import tensorflow as tf

  artifact = formats.load(model)
  data = card.to_config(artifact.card)

  def probabilities(path):
    # Normalised as in the artifact's `encoded` signature.
    image = decode.eval_image(tf.constant(path.read_bytes()), data, False)
    image = (np.float32(image) - np.float32(127.5)) / np.float32(127.5)
    return special.softmax(artifact.classify(image[None])[0])

  return probabilities


@pytest.fixture
def other(model, tmp_path):
  """A copy of the model to damage: its path, metadata file and metadata."""
  path = tmp_path / 'other'
  shutil.copytree(model, path)
  metadata = path / 'assets.extra' / 'inception_jax.json'
  return path, metadata, json.loads(metadata.read_text())


def assert_same(top, probabilities, names=DIGITS):
  order = np.argsort(-probabilities, kind='stable')[:5]
  assert [x['class'] for x in top] == [names[i] for i in order]
  found = [x['probability'] for x in top]
  np.testing.assert_allclose(found, probabilities[order], rtol=0, atol=1e-5)


@pytest.fixture(scope='module')
def of_folder(model, images):
  return classify(f'--model={model}', '--json', '--batch_size=4', images)


def test_folder_is_classified_as_in_python(images, wanted, of_folder):
  found, result = parse(of_folder)
  paths = sorted(images.rglob('*.png'))
  assert list(found) == list(map(str, paths))
  assert len(paths) == 23
  ranks = []
  for path in paths:
    probabilities = wanted(path)
    assert_same(found[str(path)], probabilities)
    label = DIGITS.index(path.parent.name)
    ranks.append(np.sum(probabilities > probabilities[label]))
  ranks = np.array(ranks)
  assert 0 < np.mean(ranks < 1) < np.mean(ranks < 5) < 1
  assert result['top1'] == pytest.approx(np.mean(ranks < 1))
  assert result['top5'] == pytest.approx(np.mean(ranks < 5))
  assert result['count'] == 23
  assert result['failed'] == {}
  # One line of its own, and nothing from TensorFlow.
  assert len(of_folder.stderr.splitlines()) == 1


@pytest.mark.slow
def test_confident_networks_rank_by_logits(images, tmp_path):
  # Most probabilities are 0, and say nothing of the other classes.
  weights = random_weights(tiniest_config(), 10, DIGITS)
  head = weights.variables['params']['head']['dense']
  head.update({name: 1e5 * value for name, value in head.items()})
  path = str(tmp_path / 'model')
  formats.FORMATS['savedmodel'].save(weights, path, 5)
  found, result = parse(classify(f'--model={path}', '--json', images))
  python = tool('predict', f'--artifact={path}', '--json', str(images))
  *lines, _ = map(json.loads, python.stdout.splitlines())
  ranks = []
  for line in lines:
    names = [x['class'] for x in line['classes']]
    assert [x['class'] for x in found[line['image']]] == names
    assert [x['probability'] for x in line['classes'][1:]] == [0.0] * 4
    label = os.path.basename(os.path.dirname(line['image']))
    ranks.append(names.index(label) if label in names else 5)
  assert 0 < np.mean(np.array(ranks) < 1) < np.mean(np.array(ranks) < 5) < 1
  assert result['top5'] == pytest.approx(np.mean(np.array(ranks) < 5))


def test_latencies_are_of_whole_batches(of_folder):
  _, result = parse(of_folder)
  assert result['batch_size'] == 4
  ms = result['latency_ms']
  assert list(ms) == ['mean', 'p50', 'p90', 'p99']
  assert 0 < ms['p50'] <= ms['p90'] <= ms['p99']
  # The six batches take no longer than the whole run.
  assert 6 * ms['mean'] / 1000 <= 1.01 * 23 / result['images_per_sec']


@pytest.mark.slow
def test_compilation_is_not_timed(images, tmp_path):
  # Compiling takes as long as 150 batches of this small network. The last batch
  # is padded, or it would be compiled separately. Three attempts, because other
  # processes may disturb the timing.
  model = tmp_path / 'tiny'
  weights = random_weights(tiny_config(), 10, DIGITS)
  formats.FORMATS['savedmodel'].save(weights, str(model), 5)

  def in_batches():
    flags = (f'--model={model}', '--json', '--batch_size=4')
    _, result = parse(classify(*flags, images))
    seconds = 23 / result['images_per_sec']
    return seconds / (result['latency_ms']['p50'] / 1000)

  assert any(in_batches() < 30 for _ in range(3))  # six, and reading


@pytest.mark.slow
def test_table_equals_that_of_predict(model, images, wanted):
  path = images / 'digit_0' / '00.png'
  done = classify(f'--model={model}', path)
  assert done.returncode == 0
  line, result = done.stdout.splitlines()
  probabilities = wanted(path)
  order = np.argsort(-probabilities)[:5]
  top = '  '.join(f'{100 * probabilities[i]:5.1f} % {DIGITS[i]}' for i in order)
  assert line == f'{path}  {top}'
  result = json.loads(result)
  assert result['batch_size'] == 1
  # A single file has no class folder, and so no label.
  assert not {'top1', 'top5', 'count'} & result.keys()


def header(width, height):
  size = struct.pack('>II', width, height)
  return b'\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR' + size + b'\x08\x02\0\0\0'


@pytest.mark.slow
def test_unreadable_images_are_reported_and_others_classified(
  model, images, wanted, tmp_path
):
  good = tmp_path / 'digit_0'
  shutil.copytree(images / 'digit_0', good)
  shutil.copytree(images / 'digit_4', tmp_path / 'digit_4')
  image = Image.open(good / '00.png').resize((40, 30))
  image.save(good / '01.JPG')
  for name in ('02.webp', '03.bmp', '04.gif'):
    image.save(good / name)
  (good / '041.gif').write_bytes(hostile_images.gif_of_frames(99, 900, 900))
  whole = (good / '06.png').read_bytes()
  broken = {
    # First in their batches, so that the other images change position.
    '000.jpg': (b'junk', 'unknown image format'),
    '19.jpg': (b'junk', 'unknown image format'),
    '05.png': (whole[: len(whole) // 2], 'PNG'),
    '051.jpg': (
      hostile_images.huge('jpeg', 5, '>HH', 9000, 9000, word=b'\xff\xc0'),
      '9000×9000 is more than data.max_pixels=80000000',
    ),
    '052.jpg': (
      hostile_images.jpeg_of_scans(600, 4000, 4000),
      'scans of 4000×4000 are more work than 100 of data.max_pixels=80000000',
    ),
    '053.png': (
      hostile_images.png_with_texts(17, 9),
      'a PNG with more than 16 compressed texts is not supported',
    ),
    '054.webp': (
      hostile_images.moving('webp')[:90],
      'an animated WebP must begin with a frame',
    ),
    '07.jpg': (b'junk', 'unknown image format'),
    '08.jpg': (b'', 'unknown image format'),
    '09.png': (
      header(9000, 9000),
      '9000×9000 is more than data.max_pixels=80000000',
    ),
    '10.gif': (
      b'GIF89a' + struct.pack('<HH', 65535, 65535),
      '65535×65535 is more than data.max_pixels=80000000',
    ),
  }
  for name, (content, _) in broken.items():
    (good / name).write_bytes(content)
  image.convert('P').save(good / '11.bmp')
  broken['11.bmp'] = None, 'a BMP with a palette is not supported'
  (good / '13.jpg').symlink_to(tmp_path / 'nowhere.jpg')
  (good / 'notes.txt').write_text('no image')
  for name in ('._a.png', '@eaDir/a.png', '.thumbnails/a.png'):
    (good / name).parent.mkdir(exist_ok=True)
    (good / name).write_text('left by another system')
  done = classify(f'--model={model}', '--json', '--batch_size=3', tmp_path)
  found, result = parse(done, status=1)
  names = ['00.png', '01.JPG', '02.webp', '03.bmp', '04.gif', '041.gif']
  names += ['06.png', '12.png', '18.png']
  served = [good / name for name in names]
  served += sorted((tmp_path / 'digit_4').iterdir())
  assert list(found) == list(map(str, served))
  right = 0
  for path in served:
    probabilities = wanted(path)
    assert_same(found[str(path)], probabilities)
    right += DIGITS[np.argmax(probabilities)] == path.parent.name
  assert result['top1'] == pytest.approx(right / 13)
  assert result['failed'].keys() == {str(good / name) for name in broken}
  for name, (_, reason) in broken.items():
    line = result['failed'][str(good / name)]
    assert reason in line
    assert f'{good / name}: {line}' in done.stderr.splitlines()
  assert result['images'] == result['count'] == 13


@pytest.mark.slow
def test_labels_from_a_list(model, images, wanted, tmp_path):
  shutil.copytree(images, tmp_path / 'an image' / 'val')
  paths = sorted((tmp_path / 'an image').rglob('*.png'))
  labels, lines = {}, []
  for i, path in enumerate(paths[:-2]):
    labels[path] = i * 3 % 10
    word = DIGITS[labels[path]] if i % 2 else labels[path]
    lines.append(f'{path.relative_to(tmp_path)} {word}')
  lines.insert(3, '')
  lines.append('not/asked/for.png digit_9')
  (tmp_path / 'val_list.txt').write_text('\n'.join(lines))
  # With other paths than in the list, and from another folder.
  done = classify(
    f'--model={model}',
    '--json',
    '--labels=../val_list.txt',
    '../an image',
    cwd=tmp_path / 'an image',
  )
  _, result = parse(done)
  ranks = []
  for path, label in labels.items():
    probabilities = wanted(path)
    ranks.append(np.sum(probabilities > probabilities[label]))
  ranks = np.array(ranks)
  assert result['count'] == len(labels) == 21
  assert result['images'] == 23
  assert result['top1'] == pytest.approx(np.mean(ranks < 1))
  assert result['top5'] == pytest.approx(np.mean(ranks < 5))


@pytest.mark.slow
def test_folders_without_a_class_are_not_counted(model, images, tmp_path):
  shutil.copytree(images / 'digit_1', tmp_path / 'digit_1' / 'deep')
  shutil.copytree(images / 'digit_0', tmp_path / 'kitten')
  done = classify(f'--model={model}', '--json', tmp_path)
  _, result = parse(done)
  assert (result['images'], result['count']) == (8, 4)
  count = '4 of 8 images have no label and are not counted'
  assert f'{count}, for example {tmp_path}/kitten/' in done.stderr


def test_invalid_labels_are_reported_by_line(model, images, tmp_path):
  image = images / 'digit_0' / '00.png'
  labels = tmp_path / 'list.txt'
  labels.write_text(
    f'{image} digit_0\nalone\nx.png digit_10\nx.png 10\n{image} digit_1\n'
  )
  done = classify(f'--model={model}', f'--labels={labels}', image)
  words = 'is neither a class name nor a number from 0 to 9'
  assert faults(done) == [
    f'{labels}, line 2: expected "relative/path label", not "alone"',
    f'{labels}, line 3: digit_10 {words}',
    f'{labels}, line 4: 10 {words}',
    f'{labels}, line 5: {image} already has another label',
  ]
  labels.write_text('other.png digit_0\n')
  done = classify(f'--model={model}', f'--labels={labels}', image)
  assert faults(done) == [f'--labels={labels} contains none of the images']


def test_all_invalid_arguments_are_reported(tmp_path):
  (tmp_path / 'empty').mkdir()
  os.mkfifo(tmp_path / 'pipe.png')
  done = classify(
    '--modle=x',
    '--model=none',
    '--labels=none.txt',
    '--batch_size=0',
    '--json=yes',
    'none.png',
    'empty',
    'pipe.png',
    cwd=tmp_path,
  )
  flags = '--model=, --labels=, --batch_size=, --json or --help'
  assert faults(done) == [
    f'--modle=x: unknown flag; expected {flags}',
    '--batch_size=0: expected a number from 1 to 4096',
    '--json=yes: takes no value',
    '--model=none: no such folder',
    'none.png: no such file',
    f'empty has no images: {", ".join(image_tree.EVERYWHERE)}',
    'pipe.png: neither a file nor a folder',
    '--labels=none.txt: no such file',
  ]
  assert faults(classify()) == [
    '--model= is missing: the folder of a SavedModel',
    'no images: give image files or folders of images',
  ]
  done = classify('--help')
  assert done.returncode == 0
  assert '--labels=FILE' in done.stdout


def changed(values, **changes):
  return json.dumps({**values, **changes})


def test_models_without_valid_metadata_are_rejected(other, images):
  path, metadata, values = other
  image = images / 'digit_0' / '00.png'
  refused = lambda: faults(classify(f'--model={path}', image))
  damaged = ': assets.extra/inception_jax.json is damaged'
  for text, fault in [
    (
      changed(values, classes=[*DIGITS, 'digit_10']),
      f'{damaged}: it has 11 class names for 10 outputs',
    ),
    (
      changed(values, model={**values['model'], 'num_classes': -1}),
      f'{damaged}: it has 10 class names for 18446744073709551615 outputs',
    ),
    (
      changed(values, version=2),
      ' has metadata of version 2; this program reads version 1',
    ),
    (changed(values, classes=[1, 2]), damaged),
    ('[' * 100_000, damaged),
  ]:
    metadata.write_text(text)
    assert refused() == [f'--model={path}{fault}']
  metadata.unlink()
  (fault,) = refused()
  assert 'was not exported by tools.export' in fault
  (path / 'saved_model.pb').unlink()
  (fault,) = refused()
  assert fault.endswith('is not a SavedModel: it has no saved_model.pb')


@pytest.mark.slow
def test_outputs_without_a_name_are_numbered(other, images, wanted):
  path, metadata, values = other
  metadata.write_text(changed(values, classes=DIGITS[:8]))
  image = images / 'digit_0' / '00.png'
  found, _ = parse(classify(f'--model={path}', '--json', image))
  names = (*DIGITS[:8], 'output 8', 'output 9')
  assert_same(found[str(image)], wanted(image), names)


@pytest.mark.slow
def test_damaged_and_mismatched_models_are_rejected(other, images):
  path, metadata, values = other
  image = images / 'digit_0' / '00.png'
  values['model']['num_classes'] = 11
  metadata.write_text(changed(values, classes=[*DIGITS, 'digit_10']))
  done = classify(f'--model={path}', image)
  assert done.returncode == 1
  assert "error: the network's output is not 1×11 floats" in done.stderr
  graph = path / 'saved_model.pb'
  graph.write_bytes(graph.read_bytes()[:1000])
  done = classify(f'--model={path}', image)
  assert done.returncode == 2
  assert f'error: --model={path} cannot be read: ' in done.stderr

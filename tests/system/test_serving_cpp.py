"""serving/cpp says of images what Python says of them."""

import io
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
from inception_jax.data.sources import folder
from inception_jax.export import artifact as artifact_lib
from inception_jax.models import card
from tests.conftest import tiny_config
from tests.support.commands import ROOT
from tests.support.pictures import DIGITS
from tests.support.pictures import digits_network
from tests.support.pictures import weights_of
from tests.support.pictures import write_digits

BINARY = ROOT / 'serving' / 'cpp' / 'build' / 'classify'
# As a user's shell has them not: the program sets them itself.
OURS = ('TF_CPP_MIN_LOG_LEVEL', 'TF_ENABLE_ONEDNN_OPTS', 'LD_LIBRARY_PATH')


def classify(*args, cwd=None):
  assert BINARY.exists(), f'no {BINARY.relative_to(ROOT)}: make cpp'
  env = {key: value for key, value in os.environ.items() if key not in OURS}
  return subprocess.run(
    [BINARY, *map(str, args)],
    capture_output=True,
    text=True,
    timeout=120,
    env=env,
    cwd=cwd,
  )


def answers(done, status=0):
  """(of each image its guesses, the result)."""
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
  artifact_lib.save(digits_network(), path, 'savedmodel', 5)
  return path


@pytest.fixture(scope='module')
def wanted(model):
  """Path of an image → probabilities, by Python."""
  import tensorflow as tf

  artifact = artifact_lib.load(model)
  data = card.data_of(artifact.card)

  def odds(path):
    # As the artifact does it itself.
    image = decode.eval_image(tf.constant(path.read_bytes()), data, False)
    image = (np.float32(image) - np.float32(127.5)) / np.float32(127.5)
    return special.softmax(artifact.classify(image[None])[0])

  return odds


@pytest.fixture
def other(model, tmp_path):
  """A copy of the model and of what it says of itself, to be spoiled."""
  path = tmp_path / 'other'
  shutil.copytree(model, path)
  says = path / 'assets.extra' / 'inception_jax.json'
  return path, says, json.loads(says.read_text())


def agree(guesses, odds, names=DIGITS):
  order = np.argsort(-odds, kind='stable')[:5]
  assert [x['class'] for x in guesses] == [names[i] for i in order]
  found = [x['probability'] for x in guesses]
  np.testing.assert_allclose(found, odds[order], rtol=0, atol=1e-5)


@pytest.fixture(scope='module')
def of_folder(model, images):
  return classify(f'--model={model}', '--json', '--batch_size=4', images)


def test_a_folder_is_classified_as_python_does(images, wanted, of_folder):
  found, result = answers(of_folder)
  paths = sorted(images.rglob('*.png'))
  assert list(found) == list(map(str, paths))
  assert len(paths) == 23
  ranks = []
  for path in paths:
    odds = wanted(path)
    agree(found[str(path)], odds)
    label = DIGITS.index(path.parent.name)
    ranks.append(np.sum(odds > odds[label]))
  ranks = np.array(ranks)
  assert 0 < np.mean(ranks < 1) < np.mean(ranks < 5) < 1
  assert result['top1'] == pytest.approx(np.mean(ranks < 1))
  assert result['top5'] == pytest.approx(np.mean(ranks < 5))
  assert result['count'] == 23
  assert result['failed'] == {}
  # It may say what it does, but TensorFlow may not.
  assert len(of_folder.stderr.splitlines()) == 1


def test_times_are_of_whole_batches_and_in_order(of_folder):
  _, result = answers(of_folder)
  assert result['batch_size'] == 4
  ms = result['latency_ms']
  assert list(ms) == ['mean', 'p50', 'p90', 'p99']
  assert 0 < ms['p50'] <= ms['p90'] <= ms['p99']
  # Six batches of 23 images take no longer than all of it.
  assert 6 * ms['mean'] / 1000 <= 1.01 * 23 / result['images_per_sec']


def test_compiling_does_not_count(images, tmp_path):
  # It takes as long as 150 batches, of a network as small as this one. The last
  # is as large as the others, or it would be compiled for. Another process may
  # come in between, once.
  model = tmp_path / 'tiny'
  weights = weights_of(tiny_config(), 10, DIGITS)
  artifact_lib.save(weights, str(model), 'savedmodel', 5)

  def in_batches():
    flags = (f'--model={model}', '--json', '--batch_size=4')
    _, result = answers(classify(*flags, images))
    seconds = 23 / result['images_per_sec']
    return seconds / (result['latency_ms']['p50'] / 1000)

  assert any(in_batches() < 30 for _ in range(3))  # six, and reading


def test_a_table_is_that_of_predict(model, images, wanted):
  path = images / 'digit_0' / '00.png'
  done = classify(f'--model={model}', path)
  assert done.returncode == 0
  line, result = done.stdout.splitlines()
  odds = wanted(path)
  order = np.argsort(-odds)[:5]
  guesses = '  '.join(f'{100 * odds[i]:5.1f} % {DIGITS[i]}' for i in order)
  assert line == f'{path}  {guesses}'
  result = json.loads(result)
  assert result['batch_size'] == 1
  # In no folder of classes: nothing is right or wrong.
  assert not {'top1', 'top5', 'count'} & result.keys()


def header(width, height):
  size = struct.pack('>II', width, height)
  return b'\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR' + size + b'\x08\x02\0\0\0'


def test_broken_images_are_named_and_the_others_served(
  model, images, wanted, tmp_path
):
  good = tmp_path / 'digit_0'
  shutil.copytree(images / 'digit_0', good)
  shutil.copytree(images / 'digit_4', tmp_path / 'digit_4')
  image = Image.open(good / '00.png').resize((40, 30))
  image.save(good / '01.JPG')
  for name in ('02.webp', '03.bmp', '04.gif'):
    image.save(good / name)
  large = io.BytesIO()
  image.save(large, 'JPEG')
  large.seek(large.getvalue().index(b'\xff\xc0') + 5)
  large.write(struct.pack('>HH', 9000, 9000))
  whole = (good / '06.png').read_bytes()
  broken = {
    # First in their batches, so that the others change places.
    '000.jpg': (b'junk', 'no image of a known kind'),
    '19.jpg': (b'junk', 'no image of a known kind'),
    '05.png': (whole[: len(whole) // 2], 'PNG'),
    '051.jpg': (large.getvalue(), 'more pixels than data.max_pixels'),
    '07.jpg': (b'junk', 'no image of a known kind'),
    '08.jpg': (b'', 'no image of a known kind'),
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
  broken['11.bmp'] = None, 'a BMP with a palette: not supported'
  (good / '13.jpg').symlink_to(tmp_path / 'nowhere.jpg')
  (good / 'notes.txt').write_text('no image')
  done = classify(f'--model={model}', '--json', '--batch_size=3', tmp_path)
  found, result = answers(done, status=1)
  names = ['00.png', '01.JPG', '02.webp', '03.bmp', '04.gif']
  names += ['06.png', '12.png', '18.png']
  served = [good / name for name in names]
  served += sorted((tmp_path / 'digit_4').iterdir())
  assert list(found) == list(map(str, served))
  right = 0
  for path in served:
    odds = wanted(path)
    agree(found[str(path)], odds)
    right += DIGITS[np.argmax(odds)] == path.parent.name
  assert result['top1'] == pytest.approx(right / 12)
  assert result['failed'].keys() == {str(good / name) for name in broken}
  for name, (_, reason) in broken.items():
    line = result['failed'][str(good / name)]
    assert reason in line
    assert f'{good / name}: {line}' in done.stderr.splitlines()
  assert result['images'] == result['count'] == 12


def test_labels_of_a_list(model, images, wanted, tmp_path):
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
  # Not by the names that the list has, and from another folder than its own.
  done = classify(
    f'--model={model}',
    '--json',
    '--labels=../val_list.txt',
    '../an image',
    cwd=tmp_path / 'an image',
  )
  _, result = answers(done)
  ranks = []
  for path, label in labels.items():
    odds = wanted(path)
    ranks.append(np.sum(odds > odds[label]))
  ranks = np.array(ranks)
  assert result['count'] == len(labels) == 21
  assert result['images'] == 23
  assert result['top1'] == pytest.approx(np.mean(ranks < 1))
  assert result['top5'] == pytest.approx(np.mean(ranks < 5))


def test_folders_of_no_class_do_not_count(model, images, tmp_path):
  shutil.copytree(images / 'digit_1', tmp_path / 'digit_1' / 'deep')
  shutil.copytree(images / 'digit_0', tmp_path / 'kitten')
  done = classify(f'--model={model}', '--json', tmp_path)
  _, result = answers(done)
  assert (result['images'], result['count']) == (8, 4)
  says = f'4 of 8 images have no label and do not count, {tmp_path}/kitten/'
  assert says in done.stderr


def test_labels_that_are_wrong_are_named_by_line(model, images, tmp_path):
  image = images / 'digit_0' / '00.png'
  labels = tmp_path / 'list.txt'
  labels.write_text(
    f'{image} digit_0\nalone\nx.png digit_10\nx.png 10\n{image} digit_1\n'
  )
  done = classify(f'--model={model}', f'--labels={labels}', image)
  words = 'is not the name of a class, and no number from 0 to 9'
  assert faults(done) == [
    f'{labels}, line 2: expected "relative/path label", not "alone"',
    f'{labels}, line 3: digit_10 {words}',
    f'{labels}, line 4: 10 {words}',
    f'{labels}, line 5: {image} has another label before',
  ]
  labels.write_text('other.png digit_0\n')
  done = classify(f'--model={model}', f'--labels={labels}', image)
  assert faults(done) == [f'--labels={labels} names none of the images']


def test_all_mistakes_are_named_at_once(tmp_path):
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
  flags = '--model=, --labels=, --batch_size=, --json and --help'
  assert faults(done) == [
    f'--modle=x: no such flag; there are {flags}',
    '--batch_size=0: expected a number from 1 to 4096',
    '--json=yes: takes no value',
    '--model=none: no such folder',
    'none.png: no such file',
    f'empty has no images: {", ".join(folder.SUFFIXES)}',
    'pipe.png: neither a file nor a folder',
    '--labels=none.txt: no such file',
  ]
  assert faults(classify()) == [
    '--model= is missing: the folder of a SavedModel',
    'name an image, or a folder of them',
  ]
  done = classify('--help')
  assert done.returncode == 0
  assert '--labels=FILE' in done.stdout


def spoiled(values, **changes):
  return json.dumps({**values, **changes})


def test_a_model_that_is_none_of_ours_is_refused(other, images):
  path, says, values = other
  image = images / 'digit_0' / '00.png'
  refused = lambda: faults(classify(f'--model={path}', image))
  damaged = 'assets.extra/inception_jax.json is damaged'
  for text, fault in [
    (
      spoiled(values, classes=[*DIGITS, 'digit_10']),
      f' names 11 of 10 outputs: {damaged}',
    ),
    (
      spoiled(values, model={**values['model'], 'num_classes': -1}),
      f' names 10 of 18446744073709551615 outputs: {damaged}',
    ),
    (spoiled(values, version=2), ' has a card of version 2, not 1'),
    (
      spoiled(values, classes=[1, 2]),
      f' does not say which network it is of: {damaged}',
    ),
    ('[' * 100_000, f' does not say which network it is of: {damaged}'),
  ]:
    says.write_text(text)
    assert refused() == [f'--model={path}{fault}']
  says.unlink()
  (fault,) = refused()
  assert 'was not exported by tools.export' in fault
  (path / 'saved_model.pb').unlink()
  (fault,) = refused()
  assert fault.endswith('is no SavedModel: it has no saved_model.pb')


def test_outputs_without_names_have_numbers(other, images, wanted):
  path, says, values = other
  says.write_text(spoiled(values, classes=DIGITS[:8]))
  image = images / 'digit_0' / '00.png'
  found, _ = answers(classify(f'--model={path}', '--json', image))
  names = (*DIGITS[:8], 'output 8', 'output 9')
  agree(found[str(image)], wanted(image), names)


def test_what_is_damaged_or_another_network_is_refused(other, images):
  path, says, values = other
  image = images / 'digit_0' / '00.png'
  values['model']['num_classes'] = 11
  says.write_text(spoiled(values, classes=[*DIGITS, 'digit_10']))
  done = classify(f'--model={path}', image)
  assert done.returncode == 1
  assert "error: the network's output is not 1×11 floats" in done.stderr
  graph = path / 'saved_model.pb'
  graph.write_bytes(graph.read_bytes()[:1000])
  done = classify(f'--model={path}', image)
  assert done.returncode == 2
  assert f'error: --model={path} cannot be read: ' in done.stderr

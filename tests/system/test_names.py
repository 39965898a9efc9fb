"""File and class names with line breaks, escape sequences and raw bytes."""

import json
import os

import numpy as np
from PIL import Image
import pytest

from tests.support.commands import run
from tests.support.commands import tool
from tests.support.training_process import arguments

CLASSES = (b'a\x1b[2J\nerror: b', b'caf\xe9', '狗'.encode())
PRINTED = (r'a\x1b[2J\nerror: b', r'caf\udce9', '狗')
BAD = b'bad\xe9\n\x1b[31m.png'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """Two splits of three classes, each with two images and one that is none."""
  root = os.fsencode(tmp_path_factory.mktemp('names'))
  for split in (b'train', b'val'):
    for i, name in enumerate(CLASSES):
      place = os.path.join(root, b'data', split, name)
      os.makedirs(place)
      for j in range(2):
        image = Image.fromarray(np.full((9, 9, 3), 90 * i + j, np.uint8))
        with open(os.path.join(place, b'\xe9\n%d.png' % j), 'wb') as file:
          image.save(file, 'png')
    with open(os.path.join(place, BAD), 'w') as file:
      file.write('junk')
  return os.fsdecode(root)


def assert_printable(text, lines):
  assert len(text.splitlines()) == lines, text
  assert all(line.isprintable() for line in text.splitlines())


@pytest.mark.slow
def test_names_are_escaped_wherever_they_are_shown(folder):
  data, workdir = f'{folder}/data', f'{folder}/run'
  changes = {
    'model.name': 'tiniest',
    'model.aux_head': False,
    'data.source': 'folder',
    'data.dir': data,
    'data.eval_split': 'val',
    'data.max_bad_fraction': 0.5,
    'batch_size': 2,
    'train_for': '4 steps',
  }
  args = arguments(workdir, **changes)
  done = run(*args, program=('-m', 'tests.support.tiny'))
  assert done.returncode == 0, done.stderr
  assert done.stderr.isprintable() or '\x1b' not in done.stderr
  assert 'error: b' not in [x[9:] for x in done.stderr.splitlines()]
  bad = rf'{data}/train/狗/bad\udce9\n\x1b[31m.png'
  assert f'cannot decode {bad}: unknown image format' in done.stderr
  with open(f'{workdir}/bad_images.txt', encoding='utf-8') as file:
    assert_printable(file.read(), 2)

  done = tool('report', f'--workdir={workdir}')
  assert done.returncode == 0, done.stderr
  for name in ('index.html', 'evaluation.json', 'predictions.csv'):
    with open(f'{workdir}/report/{name}', encoding='utf-8') as file:
      text = file.read()
    assert all(line.isprintable() for line in text.splitlines()), name
    for name in PRINTED:
      assert name in text or json.dumps(name)[1:-1] in text, name
  with open(f'{workdir}/report/predictions.csv', encoding='utf-8') as file:
    assert len(file.readlines()) == 7  # a line an image
  assert tool('compare', workdir).returncode == 0

  for flags in ([], ['--json']):
    done = tool('predict', f'--workdir={workdir}', *flags, f'{data}/val')
    assert done.returncode == 1
    assert_printable(done.stdout, 7)
    assert_printable(done.stderr, 1)
  result = json.loads(done.stdout.splitlines()[-1])
  images = [os.fsencode(x['image']) for x in result['predictions']]
  assert all(map(os.path.exists, images))

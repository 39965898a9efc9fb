"""tools.benchmark, with a stand-in for the other side."""

import csv
import json

import pytest

from benchmarks import input
from configs import digits
from inception_jax.export import artifact
from inception_jax.models import factory
from tests.support import pictures
from tests.support.commands import tool

# What does not depend on a network's depth is measured on a shallow one.
TINY = (
  '--config=configs/digits.py',
  '--config.model.name=tiniest',
  '--config.model.aux_head=False',
  '--config.model.width=1.0',
  '--config.data.image_size=9',
)


@pytest.fixture
def other_side(tmp_path):
  """A program that says what torchvision's side would."""
  rates = {'float32': 10.0, 'uint8': 20.0, 'versions': {'torch': '0'}}
  path = tmp_path / 'python'
  path.write_text(f"#!/bin/sh\necho '{json.dumps(rates)}'\n")
  path.chmod(0o755)
  return path


def test_ratios_memory_and_ledger(tmp_path, other_side):
  photos = tmp_path / 'photos'
  input.write_photos(str(photos), 12)
  before = sorted(photos.rglob('*'))
  args = [
    f'--torch={other_side}',
    f'--data_dir={photos}',
    f'--ledger={tmp_path / "ledger.csv"}',
    '--config.data.image_size=32',
    '--rounds=1',
    '--batches=2',
    '--listed=1000',
  ]
  done = tool('benchmark', *args)
  assert done.returncode == 0, done.stderr
  result = json.loads(done.stdout.splitlines()[-1])
  rates = result['images_per_sec']
  assert rates['torchvision_float32'] == 10
  assert result['times_torchvision_float32'] == pytest.approx(
    rates['ours'] / 10, abs=0.06
  )
  for name in ('same_crops_alone', 'decoding_alone'):
    assert result[f'times_{name}'] == pytest.approx(
      rates['ours'] / rates[name], abs=0.01
    )
  assert result['files_listed'] == 1000
  assert 0.1 < result['memory_gb'] < 2
  assert sorted(photos.rglob('*')) == before
  with open(tmp_path / 'ledger.csv') as file:
    (line,) = csv.DictReader(file)
  assert json.loads(line['images_per_sec']) == rates
  assert 'cores of' in line['machine']


def test_without_torchvision_it_says_what_makes_it(tmp_path):
  done = tool('benchmark', f'--torch={tmp_path}/python')
  assert done.returncode == 2
  assert '`make bench` makes one' in done.stderr


@pytest.mark.slow
def test_the_cost_of_an_evaluation(tmp_path):
  done = tool(
    'benchmark',
    '--what=evaluation',
    *TINY,
    '--config.batch_size=64',
    '--rounds=1',
  )
  assert done.returncode == 0, done.stderr
  result = json.loads(done.stdout.splitlines()[-1])
  assert 0 < result['times_bare'] < 2
  assert 0.1 < result['times_144'] < 10
  assert result['image_size'] == 9


@pytest.mark.slow
def test_every_format_and_the_onnx_of_timm(tmp_path):
  # In timm's place, our own network.
  python = tmp_path / 'python'
  theirs = tmp_path / 'theirs.onnx'
  python.write_text(f'#!/bin/sh\ncp {theirs} "$3"\necho \'{{"timm": "0"}}\'\n')
  python.chmod(0o755)
  config = digits.get_config()
  config.model.update(name='tiniest', width=1.0, aux_head=False)
  config.data.image_size = 9
  config = factory.resolve(config)
  weights = pictures.weights_of(config, 1000)
  artifact.save(weights, str(theirs), 'onnx', 0)
  done = tool(
    'benchmark',
    '--what=export',
    *TINY,
    f'--torch={python}',
    '--rounds=1',
    f'--ledger={tmp_path / "ledger.csv"}',
  )
  assert done.returncode == 0, done.stderr
  rows = json.loads(done.stdout.splitlines()[-1])['rows']
  assert [row['format'] for row in rows] == list(artifact.FORMATS)
  for row in rows:
    assert 0 < row['relative_diff'] < artifact.BOUNDS[row['format']]
    assert row['images_per_sec'] > 0
  by_format = {row['format']: row for row in rows}
  assert by_format['onnx']['bytes'] == pytest.approx(
    theirs.stat().st_size, rel=0.01
  )
  assert 0.1 < by_format['onnx']['times_timm'] < 10
  assert by_format['onnx']['versions'] == {'timm': '0'}
  assert by_format['litert']['times_timm'] is None
  with open(tmp_path / 'ledger.csv') as file:
    lines = list(csv.DictReader(file))
  assert [line['format'] for line in lines] == list(artifact.FORMATS)
  assert lines[0]['times_timm'] == str(by_format['onnx']['times_timm'])


def test_mistakes_about_the_other_side():
  done = tool(
    'benchmark',
    '--what=step',
    '--mindspore=/none',
    '--network=inception_v4',
    '--config.precision=bfloat16',
  )
  assert done.returncode == 2
  assert done.stderr.splitlines() == [
    'error: --mindspore=/none is no Python: `make .venv-mindspore/ready` makes '
    'one that has mindspore and mindcv',
    'error: --mindspore computes in --config.precision=float32 alone',
    'error: --network and --torch_compile are of PyTorch',
  ]


@pytest.mark.slow
@pytest.mark.parametrize(
  ('python_of', 'more', 'asks'),
  [
    (
      '--torch',
      ('--network=file.py:make',),
      'timm_step.py file.py:make 16 9 1000 1 float32 0',
    ),
    ('--mindspore', (), 'mindcv_step.py tiny 16 9 1000 1'),
  ],
)
def test_steps_in_turns_with_another_network(tmp_path, python_of, more, asks):
  # In its place, a program that always takes 0.01 s a step.
  python = tmp_path / 'python'
  python.write_text(
    '#!/bin/sh\n'
    f'echo "$@" > {tmp_path}/asked\n'
    'echo \'{"torch": "0"}\'\n'
    f'while read what steps; do echo $what >> {tmp_path}/asked\n'
    '  awk "BEGIN { print $steps * 0.01 }"; done\n'
  )
  python.chmod(0o755)
  done = tool(
    'benchmark',
    '--what=step',
    *TINY,
    '--config.model.name=tiny',
    '--config.model.aux_head',
    '--config.batch_size=16',
    '--config.ema_decay=0.9',
    f'{python_of}={python}',
    *more,
    '--rounds=1',
    f'--ledger={tmp_path / "ledger.csv"}',
  )
  assert done.returncode == 0, done.stderr
  rows = json.loads(done.stdout.splitlines()[-1])['rows']
  assert [row['what'] for row in rows] == ['train', 'inference']
  for row in rows:
    assert row['their_images_per_sec'] == pytest.approx(1600)
    assert row['times_theirs'] == pytest.approx(
      row['images_per_sec'] / 1600, abs=1e-3
    )
    assert row['device'] == '1 × cpu'
    assert row['versions']['torch'] == '0'
  asked = (tmp_path / 'asked').read_text().splitlines()
  assert asked[0].endswith(asks)
  assert asked[1:] == ['train'] * 3 + ['inference'] * 3
  with open(tmp_path / 'ledger.csv') as file:
    assert [line['what'] for line in csv.DictReader(file)] == [
      'train',
      'inference',
    ]


@pytest.mark.slow
@pytest.mark.parametrize('source', ['digits', 'folder'])
def test_the_loop_beside_its_step(tmp_path, source):
  done = tool(
    'benchmark',
    '--what=loop',
    *TINY,
    f'--config.data.source={source}',
    '--config.batch_size=16',
    '--rounds=1',
    '--steps=2',
    f'--ledger={tmp_path / "ledger.csv"}',
  )
  assert done.returncode == 0, done.stderr
  result = json.loads(done.stdout.splitlines()[-1])
  assert result['times_bare'] == pytest.approx(
    result['images_per_sec'] / result['bare_images_per_sec'], abs=1e-3
  )
  assert result['source'] == source
  with open(tmp_path / 'ledger.csv') as file:
    (line,) = csv.DictReader(file)
  assert line['times_bare'] == str(result['times_bare'])


@pytest.mark.slow
def test_a_second_start_finds_what_the_first_has_compiled(tmp_path):
  recipe = tmp_path / 'recipe.py'
  recipe.write_text(
    'import tests.support.tiny\nfrom configs.digits import get_config\n'
  )
  args = [f'--config={recipe}', *TINY[1:]]
  done = tool('benchmark', '--what=start', *args, '--rounds=1')
  assert done.returncode == 0, done.stderr
  result = json.loads(done.stdout.splitlines()[-1])
  assert result['args'] == args
  assert result['warm_seconds'] < result['cold_seconds']
  args += ['--config.data.source=folder', f'--config.data.dir={tmp_path}']
  done = tool('benchmark', '--what=start', *args, '--rounds=1')
  assert done.returncode == 1
  assert 'main.py ended:' in done.stderr


@pytest.mark.slow
def test_the_cost_of_a_checkpoint(tmp_path):
  done = tool(
    'benchmark',
    '--what=checkpoint',
    *TINY,
    '--rounds=1',
    '--steps=2',
    f'--ledger={tmp_path / "ledger.csv"}',
  )
  assert done.returncode == 0, done.stderr
  result = json.loads(done.stdout.splitlines()[-1])
  assert 0 < result['times_without'] and 0 < result['times_copy']
  with open(tmp_path / 'ledger.csv') as file:
    (line,) = csv.DictReader(file)
  assert line['what'] == 'checkpoint'

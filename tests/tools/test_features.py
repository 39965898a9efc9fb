"""The command tools.features."""

import json

import numpy as np
import pytest

from inception_jax.checkpointing import digests
from inception_jax.weights import pretrained
from tests.support.commands import tool
from tests.support.pictures import CLASSES
from tests.support.pictures import config_of
from tests.support.pictures import save_run
from tests.support.runs import check_faults


@pytest.fixture(scope='module')
def workdir(pictures, tmp_path_factory):
  root = tmp_path_factory.mktemp('runs')
  return save_run(root / 'a', config_of(pictures), 0)


@pytest.mark.slow
def test_features_of_a_folder_are_written_and_measured(
  workdir, pictures, tmp_path, one_device
):
  images = tmp_path / 'images'
  for name in CLASSES:
    (images / name).mkdir(parents=True)
    for file in (pictures / 'val' / name).iterdir():
      (images / name / file.name).write_bytes(file.read_bytes())
  (images / 'cat' / 'bad.png').write_text('junk')
  output = tmp_path / 'new' / 'x.npz'
  done = tool(
    *('features', f'--workdir={workdir}', str(images), f'--output={output}'),
    *('--knn=1', '--linear_probe', f'--held_out={pictures}/val'),
    *('--batch_size=7',),
    devices=2,
  )
  assert done.returncode == 1, done.stderr
  (line,) = done.stdout.splitlines()
  result = json.loads(line)
  assert list(result['failed']) == [f'{images}/cat/bad.png']
  assert result['images'] == 23 and result['output'] == str(output)
  # The same images are held out: each is its own neighbour.
  assert result['knn_top1'] == 1 and result['linear_probe_top1'] > 0.5
  _, weights = pretrained.restore('', workdir, one_device)
  assert result['weights_sha256'] == digests.of_tree(weights.variables)
  with np.load(output) as arrays:
    assert arrays['features'].shape == (23, result['dimension'])
    assert arrays['class_names'].tolist() == list(CLASSES)
    about = json.loads(str(arrays['metadata']))
    names = arrays['names'].tolist()
    labels = [CLASSES.index(name.split('/')[-2]) for name in names]
    assert arrays['labels'].tolist() == labels
  assert about['weights_sha256'] == result['weights_sha256']
  assert about['card']['input_size'] == weights.card.input_size


@pytest.mark.slow
def test_features_of_a_split_by_weights_without_a_classifier(
  pictures, tmp_path
):
  workdir = save_run(
    tmp_path / 'run', config_of(pictures), 0, classes=(), num_classes=0
  )
  output = tmp_path / 'x.parquet'
  args = (
    *('features', f'--checkpoint={workdir}', '--config=configs/digits.py'),
    *('--split=test', f'--output={output}', '--knn=1'),
  )
  done = tool(*args, '--end_point=mixed_9')
  assert done.returncode == 2
  assert 'expected one of conv_1a, mixed_2a, pooled\n' in done.stderr
  assert not output.exists()
  done = tool(*args)
  assert done.returncode == 0, done.stderr
  result = json.loads(done.stdout.splitlines()[-1])
  assert result['failed'] == {} and result['knn_top1'] > 0.5
  assert output.exists()


def test_every_fault_is_one_line(workdir, tmp_path):
  done = tool('features', f'{tmp_path}/none', '--split=x', '--held_out=y')
  check_faults(
    done,
    [
      'give one of --workdir= and --checkpoint=PATH',
      'name images or folders, or a --split=',
      '--output=: expected a name in .npz or .parquet',
      '--held_out is for',
      '/none: no such file',
      'y: no such file',
    ],
  )
  done = tool(
    *('features', f'--workdir={workdir}', '--config=configs/digits.py'),
    *('--split=x', '--held_out=y', '--knn=1', f'--output={tmp_path}/x.npz'),
  )
  check_faults(done, ["data.train_split='x'", "data.eval_split='y'"])

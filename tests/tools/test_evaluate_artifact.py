"""The command tools.evaluate_artifact."""

import json

import pytest

from inception_jax.export import formats
from inception_jax.export.format import Options
from tests.support.commands import tool
from tests.support.pictures import CLASSES
from tests.support.pictures import random_weights
from tests.support.pictures import tiny_config_of


@pytest.mark.slow
def test_artifact_is_evaluated_on_a_folder(pictures, tmp_path):
  path = str(tmp_path / 'network.onnx')
  weights = random_weights(tiny_config_of(pictures), len(CLASSES), CLASSES)
  options = Options(outputs=('logits', 'mixed_2a'), precision='float16')
  formats.FORMATS['onnx'].save(weights, path, 5, options)
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


def test_every_fault_is_one_line(tmp_path):
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
  done = tool(
    'evaluate_artifact',
    '--config=configs/digits.py',
    '--artifact=tests/earlier_version/network.onnx',
  )
  assert done.returncode == 2
  (line,) = done.stderr.splitlines()
  assert 'network.onnx has no digest' in line and '--trust' in line

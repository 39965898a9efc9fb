"""A run and artifacts that version 0.1.0 wrote, commit ca297ef.

The run is configs/digits.py with the network `tiny`: 12 steps with a moving
average, checkpoints after steps 6 and 12. expected.npz has what that version
computed with it: `images`, and logits of each artifact and checkpoint.
"""

import json
import pathlib
import shutil

import jax
import numpy as np
import pytest

from inception_jax.checkpointing.directory import CheckpointDirectory
from inception_jax.config import defaults
from inception_jax.config import serialization
from inception_jax.errors import UserError
from inception_jax.evaluation import evaluate
from inception_jax.export import comparison
from inception_jax.export import formats
from inception_jax.models import architectures
from inception_jax.models import metadata
from inception_jax.training import loop
from inception_jax.weights import pretrained

HERE = pathlib.Path(__file__).parent
RUN = HERE / 'run'
# Logits, of which the largest is 1.4.
TOLERANCE = 1e-5


@pytest.fixture(scope='module')
def expected():
  with np.load(HERE / 'expected.npz') as arrays:
    return dict(arrays)


def config():
  text = (RUN / 'config.json').read_text()
  return serialization.from_json(text, defaults.get_config())


def scores_of(step):
  lines = map(json.loads, (RUN / 'metrics.jsonl').read_text().splitlines())
  (line,) = [x for x in lines if (x['step'], x['split']) == (step, 'eval')]
  return line


@pytest.mark.parametrize(
  ('which', 'ema', 'name'), [('latest', True, 'ema'), ('6', False, 'raw_6')]
)
def test_checkpoints_load(expected, one_device, which, ema, name):
  _, weights = pretrained.restore(str(RUN), which, one_device, ema)
  images = comparison.normalize(weights.card, expected['images'])
  model = architectures.create(weights.network)
  logits, _ = jax.jit(model.apply)(weights.variables, images)
  np.testing.assert_allclose(logits, expected[name], atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize(
  'name',
  [
    'network.onnx',
    'network.stablehlo',
    'network.tflite',
    'network_int8.tflite',
    'savedmodel',
  ],
)
def test_artifacts_load(expected, name):
  with pytest.raises(UserError, match='has no digest'):
    formats.load(str(HERE / name))
  network = formats.load(str(HERE / name), trust=True)
  images = comparison.normalize(network.card, expected['images'])
  wanted = expected[name.replace('.', '_')]
  np.testing.assert_allclose(
    network.classify(images), wanted, atol=TOLERANCE, rtol=0
  )


def test_metadata_is_read_and_written_as_before():
  record = CheckpointDirectory(RUN / 'checkpoints').record(12)
  values = record['network']
  written = metadata.to_dict(*metadata.from_dict(values, RUN))
  assert json.loads(json.dumps(written)) == values


@pytest.mark.parametrize('step', [6, 12])
def test_an_evaluation_repeats_its_scores(one_device, step):
  options = evaluate.Options((str(step),))
  result = evaluate.evaluate(config(), str(RUN), one_device, options).result
  scores = scores_of(step)
  assert result['loss'] == pytest.approx(scores['loss'], rel=1e-5)
  for key in ('top1', 'top5', 'count'):
    assert result[key] == scores[key]


@pytest.mark.slow
def test_a_run_resumes_to_the_same_end(tmp_path, one_device):
  workdir = tmp_path / 'run'
  shutil.copytree(RUN, workdir)
  shutil.rmtree(workdir / 'checkpoints' / '12')
  result = loop.train(config(), str(workdir), one_device)
  scores = scores_of(12)
  assert result['step'] == 12 and result['count'] == scores['count']
  assert result['loss'] == pytest.approx(scores['loss'], rel=1e-4)
  assert result['top1'] == pytest.approx(scores['top1'], abs=2 / 360)


def test_a_resume_with_the_crops_of_todays_recipes_is_refused(
  tmp_path, one_device
):
  """A training must not change its crops halfway, unnoticed."""
  workdir = tmp_path / 'run'
  shutil.copytree(RUN, workdir)
  shutil.rmtree(workdir / 'checkpoints' / '12')
  changed = config()
  assert changed.data.train_crop == 'random'
  changed.data.train_crop = defaults.get_config().data.train_crop
  with pytest.raises(UserError) as error:
    loop.train(changed, str(workdir), one_device)
  assert "data.train_crop: 'random' → 'resized'" in str(error.value)

"""Evaluations of a run on the images of tests.support.pictures."""

import pytest

from inception_jax.evaluation import evaluate
from tests.support import runs
from tests.support.pictures import config_of
from tests.support.pictures import save_run


@pytest.fixture(scope='package')
def run(pictures, tmp_path_factory):
  where = tmp_path_factory.mktemp('runs') / 'a'
  return save_run(where, config_of(pictures), 0)


@pytest.fixture
def evaluate_run(pictures, one_device):
  """(run, output folder, options) → the result, and rows of predictions.csv."""

  def apply(run, output, **options):
    options = evaluate.Options((run,), output=str(output), **options)
    config = config_of(pictures)
    evaluated = evaluate.evaluate(config, '', one_device, options)
    return evaluated.result, runs.predictions(output)

  return apply

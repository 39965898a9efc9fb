import numpy as np
import pytest

from inception_jax.evaluation import evaluate
from inception_jax.export import evaluation
from inception_jax.weights import pretrained
from tests.support.pictures import tiny_config_of


@pytest.fixture(scope='module')
def config(pictures):
  return tiny_config_of(pictures, eval_protocol='mirror')


@pytest.fixture(scope='module')
def options(workdir):
  return evaluate.Options((workdir,))


@pytest.fixture(scope='module')
def expected(config, options, one_device):
  return evaluate.evaluate(config, '', one_device, options)


@pytest.mark.slow
def test_artifact_is_evaluated_as_its_network(
  config, options, artifact, expected, format_name, one_device
):
  config = pretrained.adopt_network(config, artifact)
  evaluated = evaluation.evaluate_artifact(
    config, artifact, one_device, options
  )
  result = evaluated.result
  if format_name == 'litert_int8':
    assert result['count'] == 23
    assert result['loss'] == pytest.approx(expected.result['loss'], rel=0.1)
    return
  assert result == {
    key: pytest.approx(value, abs=1e-5) if key == 'loss' else value
    for key, value in expected.result.items()
    if key != 'step'
  }
  np.testing.assert_array_equal(
    evaluated.columns['classes'], expected.columns['classes']
  )

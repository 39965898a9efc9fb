"""A run on tiny images, its weights, and its network in every format."""

import pytest

from inception_jax.export import formats
from inception_jax.weights import pretrained
from tests.support.pictures import save_run
from tests.support.pictures import tiny_config_of


@pytest.fixture(scope='session')
def workdir(pictures, tmp_path_factory):
  root = tmp_path_factory.mktemp('runs')
  return save_run(root / 'a', tiny_config_of(pictures), 0)


@pytest.fixture(scope='session')
def weights(workdir, one_device):
  return pretrained.restore('', workdir, one_device)[1]


@pytest.fixture(scope='session', params=formats.LOADED)
def format_name(request):
  return request.param


@pytest.fixture(scope='session')
def exported(format_name, weights, tmp_path_factory):
  """The path of the network in one format."""
  file_format = formats.FORMATS[format_name]
  folder = tmp_path_factory.mktemp(format_name)
  path = str(folder / f'network{file_format.ending}')
  file_format.save(weights, path, 5)
  return path


@pytest.fixture(scope='session')
def artifact(exported):
  return formats.load(exported)

"""Eight CPU devices, a shared compilation cache, and shared fixtures."""

import gc
import os

from tests.support.commands import UNOPTIMISED

# JAX reads these when it is imported. Tests that need the optimization that
# users get start a command with `optimized`.
os.environ['XLA_FLAGS'] = (
  f'--xla_force_host_platform_device_count=8 {UNOPTIMISED}'
)
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')
os.environ.setdefault('JAX_PLATFORMS', 'cpu')
os.environ.setdefault(
  'JAX_COMPILATION_CACHE_DIR',
  os.path.join(os.path.dirname(os.path.dirname(__file__)), '.cache', 'xla'),
)
# The tests compile the same small programs again and again.
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0')

import jax
import pytest

from inception_jax.distributed import sharding
from tests.support.launching import launch  # noqa: F401 (a fixture)
from tests.support.tiny import tiniest_config
from tests.support.tiny import tiny_config

# Tracing creates millions of long-lived objects: collecting garbage as often as
# Python does by default takes a thirtieth of the time.
gc.set_threshold(100_000, 20, 20)


@pytest.fixture
def tiny():
  return tiny_config()


@pytest.fixture
def tiniest():
  return tiniest_config()


@pytest.fixture(scope='session')
def one_device():
  return sharding.make_mesh(jax.devices()[:1])


@pytest.fixture(scope='session')
def eight_devices():
  return sharding.make_mesh()


@pytest.fixture(scope='session')
def google():
  """A server of gs://bucket, which this process and its children use."""
  from tests.support import object_server

  with object_server.google() as server, pytest.MonkeyPatch.context() as patch:
    for name, value in server.environment.items():
      patch.setenv(name, value)
    yield server


@pytest.fixture(scope='session')
def pictures(tmp_path_factory):
  """The folder that tests.support.pictures writes."""
  # A fixture imports what most tests do not need.
  from tests.support import pictures

  root = tmp_path_factory.mktemp('pictures')
  pictures.write(root)
  return root


@pytest.fixture(scope='session')
def finished_run(tmp_path_factory, one_device):
  """A read-only run of `runs.short_config`: (workdir, result)."""
  from tests.support import runs

  workdir = tmp_path_factory.mktemp('finished')
  return workdir, runs.train(workdir, runs.short_config(), one_device)


def pytest_collection_modifyitems(items):
  """Starts with the slow tests, so that no process ends with one alone."""
  items.sort(key=lambda item: not item.get_closest_marker('slow'))

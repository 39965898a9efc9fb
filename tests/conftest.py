"""Eight CPU devices, a shared compilation cache, and a network that compiles
in seconds."""

import gc
import os

from tests.support.commands import UNOPTIMISED

# Before jax is imported: it reads these once. Optimised as a user's are the
# commands that tests start as `optimised`.
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
import numpy as np
import pytest

from configs import digits
from inception_jax.checkpointing import lookup
from inception_jax.distributed import sharding
from inception_jax.models import factory
from tests.support.launching import launch  # noqa: F401 (a fixture)
import tests.support.tiny  # noqa: F401 (makes the network known)

# Tracing makes millions of objects that stay: to look through them for garbage
# as often as Python does takes a thirtieth of the time.
gc.set_threshold(100_000, 20, 20)


def tiny_config():
  """The digits recipe with a network of eight convolutions, everything on."""
  config = digits.get_config()
  config.model.name = 'tiny'
  config.model.width = 1.0
  config.model.dropout_rate = 0.2
  config.data.color_jitter = (0.2, 0.2, 0.2, 0.0)
  config.batch_size = 16
  config.schedule.warmup = '2 steps'
  return factory.resolve(config)


def tiniest_config():
  """With three convolutions: where it is not the network that counts."""
  config = tiny_config()
  config.model.update(name='tiniest', aux_head=False)
  return config


def stored(workdir, step):
  """Every leaf of a checkpoint, as it lies on disk."""
  import orbax.checkpoint as ocp

  path = lookup.checkpoint_folder(str(workdir)).absolute() / str(step) / 'state'
  checkpointer = ocp.PyTreeCheckpointer()
  as_numpy = jax.tree.map(
    lambda _: ocp.RestoreArgs(restore_type=np.ndarray),
    checkpointer.metadata(path).item_metadata.tree,
  )
  return checkpointer.restore(path, restore_args=as_numpy)


@pytest.fixture
def tiny():
  return tiny_config()


@pytest.fixture(scope='session')
def one_device():
  return sharding.make_mesh(jax.devices()[:1])


@pytest.fixture(scope='session')
def eight_devices():
  return sharding.make_mesh()


@pytest.fixture(scope='session')
def pictures(tmp_path_factory):
  """The folder that tests.support.pictures writes."""
  # Imported here: it imports this file.
  from tests.support import pictures

  root = tmp_path_factory.mktemp('pictures')
  pictures.write(root)
  return root

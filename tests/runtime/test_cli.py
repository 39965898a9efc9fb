"""The compilation cache, no home, and a disk that fails."""

import errno
import os
import types
import warnings
import zlib

import jax
from jax._src import compilation_cache
import jax.numpy as jnp
import numpy as np
import pytest

from inception_jax.errors import UserError
from inception_jax.runtime import cli
from tests.support import commands


@pytest.fixture
def cache(tmp_path, monkeypatch):
  """A new compilation cache, where zstandard is installed."""

  class ZstdCompressor:
    def compress(self, executable):
      return executable

  class ZstdDecompressor:
    def decompress(self, executable):
      return executable

  fake = types.SimpleNamespace(
    ZstdCompressor=ZstdCompressor, ZstdDecompressor=ZstdDecompressor
  )
  monkeypatch.setattr(compilation_cache, 'zstandard', fake)
  before = jax.config.jax_compilation_cache_dir
  compilation_cache.reset_cache()
  jax.config.update('jax_compilation_cache_dir', str(tmp_path))
  yield tmp_path
  compilation_cache.reset_cache()
  jax.config.update('jax_compilation_cache_dir', before)


def test_damaged_programs_are_compiled_again(cache):
  cli.use_compilation_cache(str(cache))
  x = jnp.linspace(-1.0, 1.0, 12).reshape(3, 4)
  run = lambda: np.asarray(jax.jit(lambda x: jnp.tanh(x @ x.T))(x))
  expected = run()
  (entry,) = cache.glob('jit__lambda*-cache')
  content = entry.read_bytes()
  assert zlib.decompress(content)  # it has a checksum
  random = np.random.default_rng(0)
  for i in range(24):
    damaged = bytearray(content)
    place = random.integers(len(content))
    if i % 4:
      damaged[place] ^= 1 << random.integers(8)
    else:
      del damaged[place:]
    entry.write_bytes(damaged)
    with pytest.warns(UserWarning, match='Error reading persistent compil'):
      np.testing.assert_array_equal(run(), expected)
  entry.write_bytes(content)
  with warnings.catch_warnings():
    warnings.simplefilter('error')
    np.testing.assert_array_equal(run(), expected)


@pytest.fixture
def no_cache():
  before = jax.config.jax_compilation_cache_dir
  jax.config.update('jax_compilation_cache_dir', None)
  yield
  jax.config.update('jax_compilation_cache_dir', before)


def test_without_a_home_only_the_default_cache_is_left_out(
  no_cache, monkeypatch, tmp_path, caplog
):
  monkeypatch.setenv('HOME', '/dev/null/home')
  cli.use_compilation_cache()
  assert not jax.config.jax_compilation_cache_dir
  assert 'compiled programs are not cached: ~/.cache' in caplog.text
  with pytest.raises(UserError, match='~ is no folder'):
    cli.use_compilation_cache('~/cache')
  monkeypatch.setenv('HOME', str(tmp_path))
  cli.use_compilation_cache('~/cache')
  assert jax.config.jax_compilation_cache_dir == f'{tmp_path}/cache'


@pytest.mark.parametrize('name', ['ENOSPC', 'EROFS', 'EIO', 'EFBIG'])
def test_disk_that_fails_is_one_line(name):
  number = getattr(errno, name)
  program = f"""
import os
from inception_jax.runtime import cli
from tests.support import commands
def main():
  raise OSError({number}, os.strerror({number}), 'runs/a/config.json')
cli.run(main)
"""
  done = commands.run(program=('-c', program))
  assert done.returncode == 1
  reason = os.strerror(number)
  assert done.stderr == f'error: runs/a/config.json: {reason}\n'


def test_disk_that_fails_in_a_library_is_one_line():
  program = """
from inception_jax.runtime import cli
import tensorflow as tf
cli.run(lambda: tf.io.write_file('/dev/full', b'x' * 100_000))
"""
  done = commands.run(program=('-c', program))
  assert done.returncode == 1
  line = done.stderr.splitlines()[-1]  # others may be TensorFlow's
  assert line == f'error: /dev/full; {os.strerror(errno.ENOSPC)}'


@pytest.mark.parametrize('numpy', ['jax.numpy', 'numpy'])
def test_too_little_memory_is_one_line(numpy):
  program = f"""
from inception_jax.runtime import cli
import {numpy} as np
cli.run(lambda: {{'sum': np.ones(2**48).sum()}})
"""
  done = commands.run(program=('-c', program))
  assert done.returncode == 1
  (line,) = done.stderr.splitlines()
  assert line.startswith('error: ')
  assert line.endswith(
    ': less is needed with a smaller --config.batch_size; in training, also '
    'with --config.gradient_accumulation=2 or --config.remat=True'
  )

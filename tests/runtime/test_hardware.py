"""Advice on faster training on CPUs."""

import logging
import pathlib
import platform

import optax
import pytest

from inception_jax.training.trainer import Trainer
from tests.support.tiny import tiniest_config


@pytest.mark.parametrize(
  ('preloaded', 'advised'),
  [
    ('', True),
    ('/usr/lib/libother.so', True),
    ('libtcmalloc_minimal.so.4', False),
    ('/usr/lib/libother.so:/usr/lib/libjemalloc.so.2', False),
  ],
)
def test_training_on_cpus_advises_a_faster_malloc(
  preloaded, advised, one_device, monkeypatch, caplog
):
  monkeypatch.setenv('LD_PRELOAD', preloaded)
  caplog.set_level(logging.INFO)
  trainer = Trainer(
    tiniest_config(), one_device, 10, optax.constant_schedule(0.1)
  )
  trainer.compile()
  assert ('libtcmalloc_minimal.so.4' in caplog.text) == advised


_ZEN_3 = 'vendor_id : AuthenticAMD\nflags : fpu fsrm avx2\n\nvendor_id : other'


@pytest.mark.slow
@pytest.mark.parametrize(
  ('cpu', 'libc', 'tunables', 'advised'),
  [
    (_ZEN_3, ('glibc', '2.36'), '', True),
    (_ZEN_3, ('glibc', '2.40'), '', False),
    (_ZEN_3, ('', ''), '', False),
    (_ZEN_3, ('glibc', '2.36'), 'glibc.malloc.hugetlb=1', True),
    (
      *(_ZEN_3, ('glibc', '2.36')),
      'glibc.malloc.hugetlb=1:glibc.cpu.x86_rep_movsb_threshold=9999999',
      False,
    ),
    (_ZEN_3.replace('fsrm', 'erms'), ('glibc', '2.36'), '', False),
    (_ZEN_3.replace('AMD', 'Intel'), ('glibc', '2.36'), '', False),
    ('processor\t: 0\nBogoMIPS\t: 50', ('glibc', '2.36'), '', False),
  ],
)
def test_training_advises_a_setting_where_glibc_copies_slowly(
  cpu, libc, tunables, advised, one_device, monkeypatch, caplog
):
  read = pathlib.Path.read_text
  monkeypatch.setattr(
    pathlib.Path,
    'read_text',
    lambda self, *args, **kwargs: (
      cpu if str(self) == '/proc/cpuinfo' else read(self, *args, **kwargs)
    ),
  )
  monkeypatch.setattr(platform, 'libc_ver', lambda: libc)
  monkeypatch.setenv('GLIBC_TUNABLES', tunables)
  caplog.set_level(logging.INFO)
  trainer = Trainer(
    tiniest_config(), one_device, 10, optax.constant_schedule(0.1)
  )
  trainer.compile()
  assert ('x86_rep_movsb_threshold=1000000000' in caplog.text) == advised

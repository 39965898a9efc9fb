"""Every block of docs/library.md runs as it stands."""

import dataclasses
import os
import subprocess
import sys

import pytest

import inception_jax
from inception_jax.models import architectures
from inception_jax.models.card import Card
from tests.support import hostile_images
from tests.support import pages
from tests.support import pictures
from tests.support import tiny
from tests.support.commands import ROOT

# The Chinese page has the same code, by test_translations.py.
BLOCKS = [
  code
  for language, code in pages.blocks((ROOT / 'docs/library.md').read_text())
  if language == 'python'
]
PUBLISHED = {
  name: architectures.ARCHITECTURES[name]
  for name in ('inception_v3', 'inception_v4')
}


@pytest.fixture(scope='module')
def small():
  """Small networks under published names, of 32×32 images."""
  stages = [*tiny.TINY.stems['small'], *tiny.TINY.body]
  stages[-1] = ('mixed_6h', stages[-1][1])
  network = dataclasses.replace(
    tiny.TINY,
    stems={'imagenet': tuple(stages[:2])},
    body=tuple(stages[2:]),
    card=Card(input_size=32),
  )
  with pytest.MonkeyPatch.context() as patch:
    for name in PUBLISHED:
      patch.setitem(architectures.ARCHITECTURES, name, network)
    yield


@pytest.fixture(scope='module')
def folder(small, tmp_path_factory):
  """The folder in which the blocks run: two photos, and a run."""
  root = tmp_path_factory.mktemp('library')
  (root / 'photos').mkdir()
  for name, kind in (('cat.jpg', 'jpeg'), ('dog.png', 'png')):
    (root / 'photos' / name).write_bytes(hostile_images.picture(kind))
  config = tiny.tiny_config()
  config.model.update(name='inception_v4', stem='imagenet', aux_head=False)
  config.data.update(image_size=32, channels=3, mean=(99.0,) * 3)
  config.data.std = (50.0,) * 3
  pictures.save_run(root / 'runs' / 'mine', config, 0)
  return root


@pytest.mark.slow
@pytest.mark.parametrize('code', BLOCKS, ids=range(len(BLOCKS)))
def test_block_runs_as_it_stands(code, folder, monkeypatch):
  monkeypatch.chdir(folder)
  if 'jax.eval_shape' in code:  # the networks themselves: nothing is computed
    for name, network in PUBLISHED.items():
      monkeypatch.setitem(architectures.ARCHITECTURES, name, network)
  exec(compile(code, 'docs/library.md', 'exec'), {})


def test_the_page_shows_every_public_name():
  text = (ROOT / 'docs/library.md').read_text()
  hidden = {'Accuracy', 'Card', 'ModelInfo', 'Pretrained'}  # of results
  for name in set(inception_jax.__all__) - hidden:
    assert name in text
  assert {*dir(inception_jax)} == {*inception_jax.__all__, '__version__'}


@pytest.mark.slow
def test_no_warning_reaches_programs_that_take_them_for_errors():
  program = """
import jax
import numpy as np
import inception_jax
from tests.support import tiny
for name in inception_jax.__all__:
  getattr(inception_jax, name)
model = inception_jax.create_model('tiny', 3, stem='small')
images = model.card.preprocess(np.zeros((2, 9, 9, 3), np.uint8))[:, :16, :16]
variables = jax.jit(model.init)(jax.random.key(0), images)
assert model.apply(variables, images)[0].shape == (2, 3)
"""
  done = subprocess.run(
    [sys.executable, '-W', 'error', '-c', program],
    cwd=ROOT,
    env={**os.environ, 'JAX_PLATFORMS': 'cpu'},
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  assert 'Warning' not in done.stderr

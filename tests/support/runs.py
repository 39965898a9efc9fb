"""Short training runs in this process, and what is in their files."""

import csv
import json

import jax
import numpy as np
from PIL import Image

from inception_jax.training import loop
from tests.support.tiny import tiniest_config

# Class names with markup, CJK, mathematics and template syntax.
CLASSES = ('<b>cat<b>', '狗 & dog', 'a$b$ {{ c }}')


def short_config():
  """Returns a config of six steps with three evaluations.

  Its training step does not depend on the length of the training, so that
  longer and shorter ones find it in the compilation cache.
  """
  config = tiniest_config()
  config.schedule.name = 'constant'
  config.train_for = '6 steps'
  config.eval_every = '2 steps'
  config.checkpoint_every = '2 steps'
  config.log_every = '3 steps'
  config.histogram_every = '6 steps'
  return config


def train(workdir, config, mesh):
  """Trains, and returns the result."""
  return loop.train(config, str(workdir), mesh)


def assert_equal_states(a, b):
  """Asserts that two states are bitwise equal."""
  assert jax.tree.structure(a) == jax.tree.structure(b)
  for (path, x), y in zip(
    jax.tree_util.tree_leaves_with_path(a), jax.tree.leaves(b), strict=True
  ):
    np.testing.assert_array_equal(x, y, err_msg=jax.tree_util.keystr(path))


def train_two(root, mesh):
  """Trains two runs that differ in the seed, on images in class folders."""
  rng = np.random.default_rng(0)
  for split, count in (('train', 24), ('val', 11)):
    for i in range(count):
      path = root / 'data' / split / CLASSES[i % 3] / f'{i:02}.png'
      path.parent.mkdir(parents=True, exist_ok=True)
      image = Image.fromarray(rng.integers(0, 256, (3, 3, 3), np.uint8))
      image.resize((30, 20)).save(path)
  workdirs = []
  for seed in (0, 1):
    config = tiniest_config()
    config.seed = seed
    config.data.source, config.data.dir = 'folder', str(root / 'data')
    config.data.eval_split = 'val'
    config.batch_size = 8
    config.train_for = '6 steps'
    config.log_every = config.eval_every = '2 steps'
    workdirs.append(root / f'run{seed}')
    train(workdirs[-1], config, mesh)
  return workdirs


def metrics(workdir, split=''):
  """Returns the lines of metrics.jsonl, of one split or of all."""
  text = (workdir / 'metrics.jsonl').read_text()
  lines = map(json.loads, text.splitlines())
  return [line for line in lines if split in ('', line['split'])]


def predictions(folder):
  """Returns the rows of predictions.csv."""
  with open(folder / 'predictions.csv', newline='') as file:
    return list(csv.DictReader(file))


def check_faults(done, faults):
  """Asserts that a command printed exactly these errors, a line each."""
  errors = done.stderr.splitlines()
  assert done.returncode == 2, done.stderr
  assert [e for e in errors if e.startswith('error: ')] == errors
  for fault, error in zip(faults, errors, strict=True):
    assert fault in error

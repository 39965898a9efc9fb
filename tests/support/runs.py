"""Two short training runs, and what is in their files."""

import csv
import json

import numpy as np
from PIL import Image

from inception_jax.training import loop
from tests.conftest import tiniest_config

# Class names with markup, CJK, mathematics and template syntax.
CLASSES = ('<b>cat<b>', '狗 & dog', 'a$b$ {{ c }}')


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
    loop.train(config, str(workdirs[-1]), mesh)
  return workdirs


def metrics(workdir):
  text = (workdir / 'metrics.jsonl').read_text()
  return [json.loads(line) for line in text.splitlines()]


def predictions(workdir):
  with open(workdir / 'report' / 'predictions.csv', newline='') as file:
    return list(csv.DictReader(file))


def check_faults(done, faults):
  """Asserts that a command printed exactly these errors, a line each."""
  errors = done.stderr.splitlines()
  assert done.returncode == 2, done.stderr
  assert [e for e in errors if e.startswith('error: ')] == errors
  for fault, error in zip(faults, errors, strict=True):
    assert fault in error

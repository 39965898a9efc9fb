"""Training on randomly damaged data: to the end, with every image named."""

import random

import numpy as np
from PIL import Image
import pytest

from tests.data.sources import test_tfrecord
from tests.support import flips
from tests.support import runs
from tests.support import tfds_sets
from tests.support.tiny import tiniest_config

COUNTS = {'train': 24, 'val': 10}
DAMAGED = {'train': 4, 'val': 2}


def damage_file(path, rng):
  """Damages an image in one of the ways in which disks and copies do."""
  content = path.read_bytes()
  middle = rng.randrange(8, len(content) - 16)
  path.write_bytes(
    rng.choice(
      [
        b'',
        content[:middle],
        bytes(len(content)),
        rng.randbytes(len(content)),
        content[:middle] + bytes(16) + content[middle + 16 :],
      ]
    )
  )


def folder(root, rng):
  """Writes noise as PNGs, whose chunks have checksums; returns the damaged."""
  noise = np.random.default_rng(0)
  names = set()
  for split, count in COUNTS.items():
    paths = [root / split / 'abc'[i % 3] / f'{i}.png' for i in range(count)]
    for path in paths:
      path.parent.mkdir(parents=True, exist_ok=True)
      pixels = noise.integers(0, 256, (20, 20, 3), np.uint8)
      Image.fromarray(pixels).save(path)
    for path in rng.sample(paths, DAMAGED[split]):
      damage_file(path, rng)
      names.add(str(path))
  return dict(source='folder', eval_split='val'), names


def damage_records(paths, count, rng, name):
  """Flips a bit in each of `count` records; returns their names."""
  begins = {path: flips.begins(path) for path in paths}
  records = [(path, i) for path in paths for i in range(len(begins[path]))]
  chosen = rng.sample(records, count)
  for path, i in chosen:
    begin, *ends = begins[path][i : i + 2]
    end = ends[0] - 12 if ends else path.stat().st_size
    flips.flip(path, rng.randrange(begin - 12, end), rng.randrange(8))
  return {name(path, i, begins[path][i]) for path, i in chosen}


def tfrecord(root, rng):
  root.mkdir()
  names = set()
  for split, count in COUNTS.items():
    test_tfrecord.write(root, split, count, 2)
    names |= damage_records(
      sorted(root.glob(f'{split}-*')),
      DAMAGED[split],
      rng,
      lambda path, i, begin: f'{path}, byte {begin}',
    )
  return dict(source='tfrecord', eval_split='val'), names


def tfds(root, rng):
  tfds_sets.write(root)
  names = set()
  for split, other in (('train', 'train'), ('test', 'val')):
    names |= damage_records(
      sorted(root.glob(f'shapes/*/*{split}*-of-*')),
      DAMAGED[other],
      rng,
      lambda path, i, begin: f'{path}, record {i}',
    )
  return dict(source='tfds:shapes', eval_split='test'), names


@pytest.mark.slow
@pytest.mark.parametrize('write', [folder, tfrecord, tfds])
def test_training_names_all_damaged_images(write, tmp_path, one_device):
  data, names = write(tmp_path / 'data', random.Random(7))
  config = tiniest_config()
  config.data.update(data, dir=str(tmp_path / 'data'), max_bad_fraction=0.4)
  config.model.num_classes = 3
  config.batch_size = 8
  config.train_for = config.eval_every = '3 steps'
  result = runs.train(tmp_path / 'run', config, one_device)
  total = 7 if write is tfds else COUNTS['val']
  assert result['count'] == total - DAMAGED['val']
  assert np.isfinite(result['loss'])
  lines = (tmp_path / 'run' / 'bad_images.txt').read_text().splitlines()
  assert {line.split(': ')[0] for line in lines} == names

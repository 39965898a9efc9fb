"""Datasets that tests/parity/written_datasets.py wrote, and what is in them."""

import contextlib
import pathlib
import shutil

from configs import digits
from inception_jax.data import pipeline
from inception_jax.data.sources import registry
from inception_jax.models import factory

FOLDER = pathlib.Path(__file__).parents[1] / 'golden' / 'datasets'
COUNTS = {'train': 11, 'test': 5}
NAMES = ('cat', 'dog', 'hen')


def config_of(source: str, folder, **data):
  """Returns a config that reads a folder."""
  config = factory.resolve(digits.get_config())
  config.data.update(source=source, dir=str(folder), image_size=12, **data)
  config.batch_size = 4
  return config


def copy(kind: str, folder: pathlib.Path) -> pathlib.Path:
  """Copies one of the datasets, so that a test can change it."""
  return pathlib.Path(shutil.copytree(FOLDER / kind, folder / kind))


def numbers(batch) -> list[int]:
  """Returns the number of each image, by its grey."""
  return [round(float(image.mean()) / 20) for image in batch['image']]


def evaluated(config, split: str, bad=None) -> list[tuple[int, int]]:
  """Returns number and label of each image of an evaluation."""
  opened = registry.load(config, split)
  return [
    (number, int(label))
    for batch in pipeline.eval_batches(opened, config.data, 4, range(4), bad)
    for number, label, mask in zip(
      numbers(batch), batch['label'], batch['mask'], strict=True
    )
    if mask
  ]


def check_order(config) -> list[int]:
  """Checks that epochs are shuffled, and that a resume reads the same.

  Returns the order of the first epoch.
  """
  opened = registry.load(config, 'train')
  size = COUNTS['train']

  def read(count, step=0, rows=range(4)):
    batches = pipeline.train_batches(opened, config, step, rows)
    with contextlib.closing(batches):
      return [next(batches) for _ in range(count)]

  straight = read(7)
  seen = [number for batch in straight for number in numbers(batch)]
  first, second = seen[:size], seen[size : 2 * size]
  assert sorted(first) == sorted(second) == list(range(size))
  assert first != second
  labels = [int(label) for batch in straight for label in batch['label']]
  assert labels == [number % 3 for number in seen]
  (resumed,) = read(1, 3)  # of two epochs
  assert (resumed['image'] == straight[3]['image']).all()
  (half,) = read(1, 6, range(2, 4))  # of one of two hosts
  assert (half['image'] == straight[6]['image'][2:]).all()
  return first

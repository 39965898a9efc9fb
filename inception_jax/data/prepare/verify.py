"""Opens a data set as a training would, counts its images, decodes them."""

import os

from inception_jax.data.prepare import imagenet
from inception_jax.data.sources import cifar
from inception_jax.data.sources import folder
from inception_jax.data.sources import registry
from inception_jax.data.sources import tfds
from inception_jax.errors import UserError

_BATCH = 128


def open_splits(config, names: list[str]) -> dict:
  """Every split of `config.data.source`, or those named, opened.

  Raises:
    UserError: what a training would say.
  """
  names = names or _splits(config) or list(imagenet.COUNTS)
  config.data.train_split, config.data.eval_split = names[0], names[-1]
  if faults := registry.check(config):
    raise UserError(*faults)
  return {name: registry.load(config, name) for name in names}


def _splits(config) -> list[str]:
  """All that there are, as far as the names are known."""
  if tfds.is_tfds(config):
    return tfds.splits(config)
  if config.data.source == 'cifar':
    return list(cifar.SPLITS)
  return folder.splits(config) if config.data.source == 'folder' else []


def counts(source: str, splits: dict, known: list[str]) -> None:
  """Compares the sizes of well-known sets with what was published.

  Args:
    source: `data.source`.
    splits: those opened.
    known: archives, as published, that the set was made of.

  Raises:
    UserError: all that differ.
  """
  expected, classes = _expected(source, known)
  faults = [
    f'{source}: {name} has {split.size} images, expected {expected[name]}'
    for name, split in splits.items()
    if split.size != expected.get(name, split.size)
  ]
  found = len(next(iter(splits.values())).class_names)
  if classes and found != classes:
    faults.append(f'{source} has {found} classes, expected {classes}')
  if faults:
    raise UserError(*faults)


def _expected(source: str, known: list[str]) -> tuple[dict[str, int], int]:
  name = tfds.base_name(source.removeprefix(tfds.PREFIX))
  unpacked = any(os.path.basename(path) in imagenet.FOLDERS for path in known)
  if name == imagenet.TFDS_NAME or unpacked:
    return imagenet.COUNTS, imagenet.CLASSES
  if name in ('cifar', 'cifar10', 'cifar100'):
    return {'train': 50_000, 'test': 10_000}, 0
  return {}, 0


def bad_images(config, splits: dict) -> list[str]:
  """Decodes every image; returns a line for each that cannot be.

  Raises:
    UserError: records that cannot be read at all.
  """
  import tqdm

  from inception_jax.data import pipeline
  from inception_jax.data.bad_images import BadImages

  config.data.max_bad_fraction = 1.0  # all are to be found
  config.data.eval_crop_mode = 'squash'  # of others, a part is decoded
  config.data.image_size = 32
  lines = []
  for name, split in splits.items():
    bad = BadImages(split, config)
    batches = pipeline.eval_batches(split, config, _BATCH, range(_BATCH), bad)
    with tqdm.tqdm(desc=f'decoding {name}', total=split.size) as bar:
      for _ in batches:
        bar.update(min(_BATCH, split.size - bar.n))
    lines += bad.lines
  return lines

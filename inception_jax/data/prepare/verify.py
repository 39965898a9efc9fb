"""Verifying a dataset: opens it as training does, counts and decodes images."""

import itertools
import logging
import os
import shutil

import tqdm

from inception_jax.data import exif
from inception_jax.data import pipeline
from inception_jax.data.bad_images import BadImages
from inception_jax.data.prepare import imagenet
from inception_jax.data.remote import mounts
from inception_jax.data.sources import cifar
from inception_jax.data.sources import folder
from inception_jax.data.sources import huggingface
from inception_jax.data.sources import registry
from inception_jax.data.sources import tfds
from inception_jax.data.sources import webdataset
from inception_jax.errors import UserError
from inception_jax.errors import printable

log = logging.getLogger(__name__)

_BATCH = 128
# By `data.exif`.
_TURNED = {
  'apply': '%d images of %s are turned upright by their EXIF orientation',
  'ignore': '%d images of %s have an EXIF orientation that is ignored; '
  '--config.data.exif=apply turns them upright',
}


def open_splits(config, names: list[str], index: bool = False) -> dict:
  """Opens splits of `config.data.source`: those in `names`, or all if empty.

  With `index`, of a dataset in a bucket, which is indexed anew, for all.

  Raises:
    UserError: the mistakes that training would report.
  """
  mounted = mounts.mount(config.data.dir, fresh=True) if index else None
  names = (
    names or _split_names(registry.mounted(config)) or list(imagenet.COUNTS)
  )
  config.data.train_split, config.data.eval_split = names[0], names[-1]
  if problems := registry.check(config):
    raise UserError(*problems)
  splits = {name: registry.load(config, name) for name in names}
  if mounted:
    mounted.publish()
    log.info('wrote %s/%s', mounted.url, mounts.NAME)
  return splits


def _split_names(config) -> list[str]:
  """Returns all splits; [] if the source does not list them."""
  if tfds.is_tfds(config):
    return tfds.split_names(config)
  match config.data.source:
    case 'cifar':
      return list(cifar.SPLITS)
    case 'folder':
      return folder.split_names(config)
    case 'huggingface':
      return huggingface.split_names(config)
    case 'webdataset':
      return webdataset.split_names(config)
  return []


def check_counts(source: str, splits: dict, archives: list[str]) -> None:
  """Compares the counts of well-known datasets with the published ones.

  Args:
    source: `data.source`.
    splits: the opened splits, by name.
    archives: the published archives that the dataset was made from.

  Raises:
    UserError: every count that differs.
  """
  expected, num_classes = _published(source, archives)
  problems = [
    f'{source}: {name} has {split.size} images, expected {expected[name]}'
    for name, split in splits.items()
    if split.size != expected.get(name, split.size)
  ]
  classes = len(next(iter(splits.values())).class_names)
  if num_classes and classes != num_classes:
    problems.append(f'{source} has {classes} classes, expected {num_classes}')
  if problems:
    raise UserError(*problems, 'if a part is meant: --noverify')


def _published(source: str, archives: list[str]) -> tuple[dict[str, int], int]:
  """Returns images per split and number of classes; {} and 0 if unknown."""
  name = tfds.dataset_name(source.removeprefix(tfds.PREFIX))
  is_imagenet = any(os.path.basename(a) in imagenet.FOLDERS for a in archives)
  if is_imagenet or name == imagenet.TFDS_NAME:
    return imagenet.COUNTS, imagenet.CLASSES
  if name in ('cifar', 'cifar10', 'cifar100'):
    return {'train': 50_000, 'test': 10_000}, 0
  return {}, 0


def decode_all(config, splits: dict) -> tuple[dict[str, str], dict[str, int]]:
  """Decodes every image.

  Returns:
    Why some cannot be decoded, by their names; and how many of each split are
    JPEGs that `data.exif='apply'` turns.

  Raises:
    UserError: records that cannot be read.
  """
  config.data.max_bad_fraction = 1.0  # report all of them
  config.data.eval_crop_mode = 'squash'  # other modes look at a part
  config.data.image_size = 32
  reasons, turned = {}, dict.fromkeys(splits, 0)
  also = lambda image: {'turned': exif.turned(image)}
  for name, split in splits.items():
    bad = BadImages(split, config.data)
    rows = range(_BATCH)
    batches = pipeline.eval_batches(
      *(split, config.data, _BATCH, rows, bad), also=also
    )
    with tqdm.tqdm(desc=f'decoding {name}', total=split.size) as bar:
      for batch in batches:
        turned[name] += int((batch['turned'] & (batch['mask'] > 0)).sum())
        bar.update(min(_BATCH, split.size - bar.n))
    reasons |= bad.reasons
  for name, count in turned.items():
    if count:
      log.info(_TURNED[config.data.exif], count, name)
  return reasons, turned


def move_aside(splits: dict, reasons: dict[str, str], target: str) -> None:
  """Moves bad image files into a new folder, with a list of where they were.

  Args:
    splits: of image files.
    reasons: as `decode_all` returns them.
    target: the new folder; `moved.txt` in it has a line for each file, its
      number there and its former path.
  """
  os.makedirs(target)
  numbers = itertools.count(1)
  with open(os.path.join(target, 'moved.txt'), 'w', encoding='utf-8') as moved:
    for split in splits.values():
      for path in map(split.name, range(split.size)):
        name = printable(path)
        if name not in reasons:
          continue
        kept = f'{next(numbers):06}{os.path.splitext(path)[1]}'
        # Written first: no file is moved that the list does not name.
        print(kept, name, reasons[name], sep='\t', file=moved, flush=True)
        shutil.move(path, os.path.join(target, kept))

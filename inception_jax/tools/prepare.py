"""Prepares a data set and verifies it, before a training depends on it.

python -m inception_jax.tools.prepare --source=tfds:imagenet2012 \
    --data_dir=DATA    # with ImageNet's two archives in DATA/downloads/manual
python -m inception_jax.tools.prepare --source=folder --data_dir=DATA \
    --archive=ILSVRC2012_img_train.tar --archive=ILSVRC2012_img_val.tar
python -m inception_jax.tools.prepare --source=cifar \
    --data_dir=cifar-10-python.tar.gz
python -m inception_jax.tools.prepare --source=folder --data_dir=DATA \
    --check_images     # decodes each image, and names those that are damaged

Archives whose sums are published are compared with them first. Whatever was
prepared is then opened as a training opens it, and its images are counted.
"""

import logging
import os
import time

from absl import flags
from ml_collections import config_flags

from inception_jax.config import defaults
from inception_jax.errors import UserError
from inception_jax.runtime import cli
from inception_jax.runtime import files

log = logging.getLogger(__name__)

FLAGS = flags.FLAGS

_CONFIG = config_flags.DEFINE_config_file(
  'config',
  defaults.__file__,
  'The recipe that is to read the data.',
)

_SOURCE = flags.DEFINE_string(
  'source', '', 'tfds:NAME, folder, cifar or tfrecord.'
)

_DATA_DIR = flags.DEFINE_string('data_dir', '', 'Where the data are, or go.')

_ARCHIVES = flags.DEFINE_multi_string(
  'archive', [], 'To unpack into class folders, or for tfds to read.'
)

_SPLITS = flags.DEFINE_list('splits', [], 'To verify; empty: all there are.')

_FORMAT = flags.DEFINE_enum(
  'file_format',
  'array_record',
  ['array_record', 'tfrecord'],
  "Of tfds's files; records of the first can be read by number.",
)

_VERIFY = flags.DEFINE_boolean(
  'verify', True, 'Expect the archives and the counts that were published.'
)

_CHECK_IMAGES = flags.DEFINE_boolean('check_images', False, 'Decode each.')

_MAX_GB = flags.DEFINE_float('max_gb', 500.0, 'Of an archive, unpacked.')


def main():
  """Verifies archives, prepares, opens, counts, decodes."""
  started = time.perf_counter()
  from inception_jax.data.prepare import archives
  from inception_jax.data.prepare import tfds_build
  from inception_jax.data.prepare import verify
  from inception_jax.data.sources import tfds
  from inception_jax.models import factory

  source = _SOURCE.value
  data_dir = os.path.expanduser(_DATA_DIR.value)
  is_tfds = source.startswith(tfds.PREFIX)
  name = source.removeprefix(tfds.PREFIX)
  faults = []
  if not (is_tfds or source in ('folder', 'cifar', 'tfrecord')):
    faults.append(
      f'--source={source}: expected tfds:NAME, folder, cifar or tfrecord'
    )
  if not data_dir:
    faults.append('--data_dir is missing: where the data are, or go')
  if _ARCHIVES.value and source in ('cifar', 'tfrecord'):
    faults.append(f'--archive: {source} has nothing to unpack')
  if faults:
    raise UserError(*faults)

  config = factory.resolve(_CONFIG.value)
  config.data.source, config.data.dir = source, data_dir
  # What takes no time first.
  there = is_tfds and not tfds.check(config)
  paths = _archives(name, data_dir, there)
  targets = _targets(paths, data_dir) if source == 'folder' else {}
  if (is_tfds and not there) or targets:
    if faults := _cannot_take(data_dir, targets, paths):
      raise UserError(*faults)
  known = archives.verify(paths) if _VERIFY.value else []
  for path in known:
    log.info('%s is as published', path)
  if is_tfds and not there:
    tfds_build.build(name, data_dir, _FORMAT.value, paths)
  _unpack(targets)

  splits = verify.open_splits(config, _SPLITS.value)
  if _VERIFY.value:
    verify.counts(source, splits, known)
  bad = verify.bad_images(config, splits) if _CHECK_IMAGES.value else None
  return {
    'source': source,
    'data_dir': data_dir,
    'as_published': known,
    'splits': {name: split.size for name, split in splits.items()},
    'classes': len(next(iter(splits.values())).class_names),
    'bad_images': bad,
    'seconds': round(time.perf_counter() - started, 1),
  }


def _archives(name: str, data_dir: str, there: bool) -> list[str]:
  """Those given, or where a set has its own; all that are missing at once."""
  from inception_jax.data.prepare import imagenet
  from inception_jax.data.prepare import tfds_build
  from inception_jax.data.sources import tfds

  is_imagenet = tfds.base_name(name) == imagenet.TFDS_NAME
  paths = [os.path.expanduser(path) for path in _ARCHIVES.value]
  if is_imagenet and not (paths or there):
    manual = os.path.join(data_dir, tfds_build.MANUAL)
    paths = [os.path.join(manual, name) for name in imagenet.FOLDERS]
  elif name == 'cifar' and os.path.isfile(data_dir):
    paths = [data_dir]
  if faults := [
    f'{path} is no file' for path in paths if not os.path.isfile(path)
  ]:
    if is_imagenet:
      faults.append('https://image-net.org/download-images has both')
    raise UserError(*faults)
  return paths


def _targets(paths: list[str], data_dir: str) -> dict[str, str]:
  """Archive → the folder that it becomes."""
  from inception_jax.data.prepare import imagenet

  own = lambda name: imagenet.FOLDERS.get(name, name.partition('.')[0])
  return {p: os.path.join(data_dir, own(os.path.basename(p))) for p in paths}


def _cannot_take(data_dir: str, targets, paths: list[str]) -> list[str]:
  """Why the data cannot go into `data_dir`."""
  from inception_jax.runtime import files

  if '://' in data_dir:
    return []  # whose writing tfds will see to
  faults = [
    f'{target} is there already'
    for target in targets.values()
    if os.path.lexists(target)
  ]
  if fault := files.cannot_write(data_dir):
    return [*faults, f'--data_dir={data_dir} cannot be written: {fault}']
  needed = sum(map(os.path.getsize, paths))
  return faults + files.too_full(data_dir, needed)


def _unpack(targets: dict[str, str]) -> None:
  """Each archive into its folder, whole or not at all."""
  from inception_jax.data.prepare import archives
  from inception_jax.data.prepare import imagenet

  for path, target in targets.items():
    place = str
    if os.path.basename(path) == imagenet.VALIDATION:
      place = imagenet.place_of_validation_image
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with files.atomic_path(target) as unfinished:
      count = archives.unpack(path, unfinished, _MAX_GB.value * 1e9, place)
    log.info('%d files in %s', count, target)


if __name__ == '__main__':
  cli.run(main)

"""Prepares a dataset and verifies it, before training depends on it.

python -m inception_jax.tools.prepare --source=tfds:imagenet2012 \
    --data_dir=DATA    # with ImageNet's two archives in DATA/downloads/manual
python -m inception_jax.tools.prepare --source=folder --data_dir=DATA \
    --archive=ILSVRC2012_img_train.tar --archive=ILSVRC2012_img_val.tar
python -m inception_jax.tools.prepare --source=cifar \
    --data_dir=cifar-10-python.tar.gz
python -m inception_jax.tools.prepare --source=folder --data_dir=DATA \
    --check_images     # decodes every image, and lists damaged and equal ones
python -m inception_jax.tools.prepare --source=folder --data_dir=DATA \
    --describe=data.html    # the same, and draws a page about the dataset
python -m inception_jax.tools.prepare --source=tfrecord \
    --data_dir=gs://BUCKET/imagenet --index    # before training from a bucket

Archives with a published size and SHA-256 are compared with them first. The
prepared dataset is then opened as training opens it, and its images counted.
The exit status is 1 if there are images that cannot be decoded.
"""

import logging
import os
import time

from absl import flags
from ml_collections import config_flags

from inception_jax import extras
from inception_jax.buckets import bucket
from inception_jax.config import defaults
from inception_jax.data.prepare import archives
from inception_jax.data.prepare import imagenet
from inception_jax.data.prepare import options
from inception_jax.data.prepare import tfds_build
from inception_jax.data.sources import tfds
from inception_jax.errors import UserError
from inception_jax.runtime import cli
from inception_jax.runtime import files

log = logging.getLogger(__name__)

# Beside tfds; only class folders are unpacked.
_SOURCES = ('folder', 'cifar', 'tfrecord', 'huggingface', 'webdataset')
# What --check_images finds.
_FOUND = ('bad_images', 'exif_turned', 'duplicates')

_CONFIG = config_flags.DEFINE_config_file(
  'config', defaults.__file__, 'The recipe that will read the dataset.'
)
_SOURCE = flags.DEFINE_string(
  'source', '', f'tfds:NAME, {", ".join(_SOURCES)}.'
)
_DATA_DIR = cli.define_path(
  'data_dir',
  'The folder of the dataset, existing or to be made, or its URL in a bucket.',
  copied=False,
)
_ARCHIVES = cli.define_paths(
  'archive', 'An archive to unpack into class folders, or for tfds to read.'
)
_SPLITS = flags.DEFINE_list('splits', [], 'Splits to verify; empty: all.')
_FORMAT = flags.DEFINE_enum(
  'file_format',
  'array_record',
  ['array_record', 'tfrecord'],
  "Format of tfds's files; only array_record can be read by record number.",
)
_VERIFY = flags.DEFINE_boolean(
  'verify', True, 'Compare archives and counts with the published ones.'
)
_CHECK_IMAGES = flags.DEFINE_bool('check_images', False, 'Decode every image.')
_NEAR = flags.DEFINE_integer(
  'near_duplicates',
  -1,
  'With --check_images: in how many of 64 bits the difference hashes of images '
  'that look alike differ at most; -1: only equal files are listed.',
  lower_bound=-1,
  upper_bound=16,
)
_FIX = cli.define_path(
  'fix', 'With --check_images: a new folder to move bad image files into.'
)
_DESCRIBE = cli.define_path(
  'describe',
  'An HTML page to write: sizes, formats and classes, with pictures; implies '
  '--check_images.',
)
_LANGUAGE = flags.DEFINE_enum(
  'language', 'en', ['en', 'zh'], 'Language of the page that --describe writes.'
)
_INDEX = flags.DEFINE_bool(
  'index',
  False,
  'Write an index of a dataset in a bucket beside it: starts of training then '
  'neither list the objects nor read the shards for what is in them.',
)
_MAX_GB = flags.DEFINE_float(
  'max_gb', 500.0, 'Size limit in GB for an unpacked archive.'
)


def main():
  """Verifies archives, prepares the dataset, opens, counts and decodes it."""
  started = time.perf_counter()
  from inception_jax.data.prepare import verify
  from inception_jax.models import factory

  source = _SOURCE.value
  data_dir = _DATA_DIR.value
  is_tfds = source.startswith(tfds.PREFIX)
  name = source.removeprefix(tfds.PREFIX)
  problems = []
  if not (is_tfds or source in _SOURCES):
    problems.append(
      f'--source={source}: expected tfds:NAME or one of {", ".join(_SOURCES)}'
    )
  if not data_dir:
    problems.append(
      '--data_dir is missing: the folder of the dataset, existing or to be made'
    )
  if _ARCHIVES.value and source in _SOURCES[1:]:
    problems.append(f'--archive: {source} is read as it is, not unpacked')
  problems += options.check(
    *(source, data_dir, _INDEX.value, bool(_ARCHIVES.value), _FIX.value),
    *(_NEAR.value, _decodes(), _DESCRIBE.value),
  )
  if _DESCRIBE.value:
    problems += extras.missing('jinja2', 'matplotlib')
  if problems:
    raise UserError(*problems)

  config = factory.resolve(_CONFIG.value)
  config.data.source, config.data.dir = source, data_dir
  # Checks that take no time come first.
  must_build = is_tfds and bool(tfds.check(config))
  paths = _find_archives(name, data_dir, is_tfds and not must_build)
  targets = _targets(paths, data_dir) if source == 'folder' else {}
  if must_build or targets:
    if problems := archives.cannot_unpack(data_dir, targets, paths):
      raise UserError(*problems)
  published = archives.verify(paths) if _VERIFY.value else []
  for path in published:
    log.info('%s is the published archive', path)
  if must_build:
    tfds_build.build(name, data_dir, _FORMAT.value, paths)
  _unpack(targets)

  splits = verify.open_splits(config, _SPLITS.value, _INDEX.value)
  if _VERIFY.value:
    verify.check_counts(source, splits, published)
  found = _check_images(config, splits) if _decodes() else {}
  return {
    'source': source,
    'data_dir': data_dir,
    'as_published': published,
    'splits': {name: split.size for name, split in splits.items()},
    'classes': len(next(iter(splits.values())).class_names),
    **{key: found.get(key) for key in _FOUND},
    'page': _DESCRIBE.value or None,
    'seconds': round(time.perf_counter() - started, 1),
  }


def _decodes() -> bool:
  """Returns whether every image is to be decoded."""
  return _CHECK_IMAGES.value or bool(_DESCRIBE.value)


def _check_images(config, splits) -> dict:
  """Decodes all images, lists equal files, and moves bad ones if asked to."""
  from inception_jax.data.prepare import describe
  from inception_jax.data.prepare import duplicates
  from inception_jax.data.prepare import verify
  from inception_jax.report import dataset
  from inception_jax.report import language

  duplicates.check(splits, _NEAR.value)  # before hours of decoding
  data = config.data.copy_and_resolve_references()
  bad, turned = verify.decode_all(config, splits)
  twice = None
  if config.data.source == 'folder':
    twice = duplicates.find(splits, _NEAR.value)
    duplicates.log_groups(twice)
  if path := _DESCRIBE.value:
    described = [describe.describe(*item, data) for item in splits.items()]
    translate = language.Translate(_LANGUAGE.value)
    dataset.write(path, data, described, bad, twice, translate)
    log.info('the page is %s', path)
  if bad and _FIX.value:
    verify.move_aside(splits, bad, _FIX.value)
    log.info('moved %d bad images into %s', len(bad), _FIX.value)
  lines = [f'{name}: {reason}' for name, reason in bad.items()]
  return dict(zip(_FOUND, (lines, turned, twice), strict=True))


def _find_archives(name: str, data_dir: str, is_built: bool) -> list[str]:
  """Returns the archives in --archive, or at the dataset's default paths.

  Raises:
    UserError: every archive that is missing.
  """
  is_imagenet = tfds.dataset_name(name) == imagenet.TFDS_NAME
  paths = _ARCHIVES.value
  if is_imagenet and not (paths or is_built):
    manual = os.path.join(data_dir, tfds_build.MANUAL)
    paths = [os.path.join(manual, name) for name in imagenet.FOLDERS]
  elif (
    name == 'cifar'
    and not bucket.is_url(data_dir)
    and not os.path.isdir(data_dir)
  ):
    paths = [data_dir]
  if problems := files.cannot_read(paths):
    if is_imagenet:
      problems.append(
        'download both archives from https://image-net.org/download-images'
      )
    raise UserError(*problems)
  return paths


def _targets(paths: list[str], data_dir: str) -> dict[str, str]:
  """Returns archive → the folder to unpack it into."""
  folder = lambda name: imagenet.FOLDERS.get(name, name.partition('.')[0])
  return {p: os.path.join(data_dir, folder(os.path.basename(p))) for p in paths}


def _unpack(targets: dict[str, str]) -> None:
  """Unpacks each archive into its folder, atomically."""
  for path, target in targets.items():
    place = str
    if os.path.basename(path) == imagenet.VALIDATION:
      place = imagenet.place_of_validation_image
    with files.atomic_path(target) as unfinished:
      count = archives.unpack(path, unfinished, _MAX_GB.value * 1e9, place)
    log.info('unpacked %d files into %s', count, target)


if __name__ == '__main__':
  cli.run(main, lambda result: bool(result['bad_images']))

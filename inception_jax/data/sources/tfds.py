"""`tfds:NAME`: datasets that tensorflow-datasets has prepared on disk.

Only their folder is read: neither the code that prepared them nor a network is
needed. `NAME` is written as in tfds: `cifar10`, `imagenet2012:5.1.0`,
`cats_vs_dogs/default:4.0.1`.
"""

import dataclasses
import logging
import os
import re

from etils import epath
import numpy as np

from inception_jax import errors
from inception_jax import inputs
from inception_jax.data import digests
from inception_jax.data.lazy import tf
from inception_jax.data.lazy import tfds
from inception_jax.data.sources import tfrecord_files
from inception_jax.data.splits import Indexed
from inception_jax.data.splits import Sequential
from inception_jax.data.splits import Split
from inception_jax.runtime import files as files_lib

log = logging.getLogger(__name__)

PREFIX = 'tfds:'
_INTERLEAVED_FILES = 16
_NAME = re.compile(
  r'(?P<name>\w+)(/(?P<config>[\w.-]+))?(:(?P<version>[\d.]+))?'
)


def is_tfds(config) -> bool:
  """Whether `data.source` is `tfds:NAME`."""
  return config.data.source.startswith(PREFIX)


def dataset_name(name: str) -> str:
  """Strips config and version: 'a/b:1.0.0' → 'a'; '' if malformed."""
  match = _NAME.fullmatch(name)
  return match['name'] if match else ''


def data_dir(config) -> epath.Path:
  """Returns `data.dir`, or tfds's default folder where that is empty."""
  default = os.environ.get('TFDS_DATA_DIR', '~/tensorflow_datasets')
  return epath.Path(inputs.expand_home(config.data.dir or default))


def builder_dirs(config) -> list[epath.Path]:
  """Returns the newest prepared version of each matching config."""
  name = _NAME.fullmatch(config.data.source.removeprefix(PREFIX))
  version = lambda folder: [int(part) for part in folder.name.split('.')]
  newest = {}
  for pattern in [f'{name["config"]}/*'] if name['config'] else ['*', '*/*']:
    for folder in (data_dir(config) / name['name']).glob(pattern):
      if (
        re.fullmatch(r'\d+\.\d+\.\d+', folder.name)
        and name['version'] in (None, folder.name)
        and (folder / 'dataset_info.json').exists()
      ):
        other = newest.get(folder.parent, folder)
        newest[folder.parent] = max(folder, other, key=version)
  return sorted(newest.values())


def check(config) -> list[str]:
  """Returns a message if there is no prepared dataset; uses no network."""
  source = config.data.source
  name = source.removeprefix(PREFIX)
  where = data_dir(config)
  if not _NAME.fullmatch(name):
    return [f'data.source={source!r}: expected tfds:NAME[/CONFIG][:VERSION]']
  try:
    folders = builder_dirs(config)
  except Exception as error:  # whatever a remote file system may raise
    return [f'data.dir={str(where)!r} cannot be read: {error}']
  if len(folders) > 1:
    names = ', '.join(folder.parent.name for folder in folders)
    return [f'data.source={source!r}: name one of its configs: {names}']
  if not folders:
    return [
      f'data.source={source!r}: no prepared dataset in {where}; prepare it '
      'with `python -m inception_jax.tools.prepare '
      f'--source={source} --data_dir={where}` or set --config.data.dir=DIR'
    ]
  return []


def disable_gcs() -> None:
  """Keeps tfds from looking for datasets in its bucket on Google Cloud.

  There is no public switch; tests/data/sources/test_tfds.py checks that this
  one has its effect.
  """
  from tensorflow_datasets.core.utils import gcs_utils

  gcs_utils._is_gcs_disabled = True


def _builder(config):
  """Opens the prepared dataset; raises UserError if it is damaged."""
  disable_gcs()
  (folder,) = builder_dirs(config)
  if '://' not in str(folder):
    if faults := files_lib.cannot_read(
      path for path in sorted(folder.iterdir()) if not path.is_dir()
    ):
      raise errors.UserError(*errors.shorten(faults))
  try:
    return tfds.builder_from_directory(folder)
  except Exception as error:  # from JSON, protobuf or tfds
    raise errors.UserError(f'{folder} is damaged: {error}') from error


def split_names(config) -> list[str]:
  """Returns the splits of the prepared dataset; [] if there is none."""
  return [] if check(config) else list(_builder(config).info.splits)


def load(config, split: str) -> Split:
  """Opens `split`, any tfds split expression such as 'train[:99%]'.

  Raises:
    UserError: a damaged dataset, an unknown or empty split, or not a dataset
      of images with one label each.
  """
  source = config.data.source
  builder = _builder(config)
  info = builder.info
  try:
    split_info = info.splits[split]
  except (KeyError, ValueError, AssertionError) as error:
    raise errors.UserError(
      f'{source} has no split {split!r}; it has {", ".join(info.splits)}'
    ) from error
  size = split_info.num_examples
  if size < 1:
    raise errors.UserError(f'{source}: split {split!r} is empty')
  files = split_info.file_instructions
  paths = [str(f.filename) for f in files]
  if missing := [path for path in paths if not epath.Path(path).exists()]:
    raise errors.UserError(*(f'{source} lacks {path}' for path in missing))
  log.info('%s from %s', split, builder.data_dir)

  def digest():
    parts = [(f.skip, f.take) for f in files]
    return digests.digest(
      map(os.path.basename, paths),
      *(parts, digests.sizes(paths), digests.ends(paths)),
    )

  image, label = _image_and_label(info.features, source)
  names = tuple(info.features[label].names)
  decoders = {image: tfds.decode.SkipDecoding()}
  if info.file_format == tfds.core.FileFormat.ARRAY_RECORD:
    split = _indexed(builder, split, names, image, label, decoders)
    return dataclasses.replace(split, digest=digest)
  features = tfds.features.FeaturesDict(
    {key: info.features[key] for key in (image, label)}
  )

  def fetch(element):
    record = tfrecord_files.check(element['record'])
    record = features.deserialize_example(record, decoders=decoders)
    return {'image': record[image], 'label': record[label]}

  epoch = _epochs(files, size, config.data.shuffle_buffer)
  name = lambda e: f'{os.fsdecode(e["path"])}, record {int(e["number"])}'
  return Sequential(size, names, epoch, fetch, name, digest)


def _image_and_label(features, source: str) -> tuple[str, str]:
  """Returns the keys of the one image and the one class label."""
  images, labels = (
    [key for key, feature in features.items() if isinstance(feature, kind)]
    for kind in (tfds.features.Image, tfds.features.ClassLabel)
  )
  # Of several, take the one with the conventional name.
  images = ['image'] if 'image' in images else images
  labels = ['label'] if 'label' in labels else labels
  if len(images) != 1 or len(labels) != 1:
    raise errors.UserError(
      f'{source} is not an image classification dataset: it has images '
      f'{images} and class labels {labels}, expected one of each'
    )
  return images[0], labels[0]


def _epochs(files, size: int, shuffle_buffer: int):
  """Returns the `Sequential.epoch` of TFRecord files."""
  columns = (
    [str(f.filename) for f in files],
    np.array([f.skip for f in files], np.int64),
    np.array([f.take for f in files], np.int64),
  )
  table, random = tf.data.Dataset.from_tensor_slices, tf.random.experimental

  def read(path, skip, take):
    records = tfrecord_files.dataset(path).skip(skip).take(take)
    return records.enumerate(skip).map(
      lambda n, record: {'path': path, 'number': n, 'record': record}
    )

  def epoch(seed):
    if seed is None:
      records = table(columns).flat_map(read)
    else:
      order = random.stateless_shuffle(tf.range(len(files)), seed)
      shuffled = tuple(tf.gather(column, order) for column in columns)
      records = table(shuffled).interleave(
        read,
        cycle_length=min(len(files), _INTERLEAVED_FILES),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
      )
      seed = tf.cast(random.stateless_fold_in(seed, 1)[0], tf.int64)
      records = records.shuffle(
        shuffle_buffer, seed, reshuffle_each_iteration=False
      )
    # The position of every training image depends on this size.
    return records.apply(tf.data.experimental.assert_cardinality(size))

  return epoch


def _indexed(builder, split, names, image, label, decoders) -> Indexed:
  """Returns the split of ArrayRecord files, read by number."""
  records = builder.as_data_source(split=split, decoders=decoders)

  def read(index):
    record = records[int(index)]
    return record[image], record[label]

  def fetch(index):
    encoded, number = tf.numpy_function(
      read, [index], (tf.string, tf.int64), stateful=False
    )
    encoded, number = tf.ensure_shape(encoded, ()), tf.ensure_shape(number, ())
    return {'image': encoded, 'label': number}

  return Indexed(len(records), names, fetch)

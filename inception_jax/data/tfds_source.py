"""`tfds:NAME`: sets that tensorflow-datasets has prepared on disk.

They are read from their folder alone: neither the code that prepared them
nor a network is needed. `NAME` is as tfds writes it: `cifar10`,
`imagenet2012:5.1.0`, `cats_vs_dogs/default:4.0.1`.
"""

import os
import re

from etils import epath
import numpy as np

from inception_jax import config as config_lib
from inception_jax.data.splits import Indexed
from inception_jax.data.splits import Sequential

PREFIX = 'tfds:'
FILES_AT_ONCE = 16
_NAME = re.compile(
  r'(?P<name>\w+)(/(?P<config>[\w.-]+))?(:(?P<version>[\d.]+))?'
)


def is_tfds(config) -> bool:
  """Whether `data.source` is a set of tfds's."""
  return config.data.source.startswith(PREFIX)


def data_dir(config) -> epath.Path:
  """`data.dir`, or tfds's own default where that is empty."""
  default = os.environ.get('TFDS_DATA_DIR', '~/tensorflow_datasets')
  return epath.Path(config.data.dir or default).expanduser()


def builder_dir(config) -> epath.Path | None:
  """The newest prepared version of the set, or None."""
  name = _NAME.fullmatch(config.data.source.removeprefix(PREFIX))
  root = data_dir(config) / name['name']
  if name['config']:
    root = root / name['config']
  found = [
    folder
    for pattern in ('*', '*/*')
    for folder in root.glob(pattern)
    if re.fullmatch(r'\d+\.\d+\.\d+', folder.name)
    and name['version'] in (None, folder.name)
    and (folder / 'dataset_info.json').exists()
  ]
  newest = lambda path: tuple(int(part) for part in path.name.split('.'))
  return max(found, key=newest, default=None)


def check(config) -> list[str]:
  """Says what is missing and how to prepare it. Never asks a network."""
  source = config.data.source
  if not _NAME.fullmatch(source.removeprefix(PREFIX)):
    return [f'data.source={source!r}: expected tfds:NAME[/CONFIG][:VERSION]']
  if builder_dir(config):
    return []
  name = source.removeprefix(PREFIX)
  where = data_dir(config)
  return [
    f'data.source={source!r}: no prepared data in {where}; prepare it with '
    f'`tfds build {name} --data_dir={where}` or say where it lies with '
    '--config.data.dir=DIR'
  ]


def load(config, split: str) -> Indexed | Sequential:
  """Opens `split`, any tfds split expression such as 'train[:99%]'.

  Raises:
    UserError: no such split, no records in it, or not a set of images with
      one label each.
  """
  import tensorflow_datasets as tfds

  source = config.data.source
  builder = tfds.builder_from_directory(builder_dir(config))
  info = builder.info
  try:
    split_info = info.splits[split]
  except (KeyError, ValueError, AssertionError) as error:
    raise config_lib.UserError(
      f'{source} has no split {split!r}; it has {", ".join(info.splits)}'
    ) from error
  if not split_info.num_examples:
    raise config_lib.UserError(f'{source}: split {split!r} is empty')
  image, label = _image_and_label(info.features, source)
  names = tuple(info.features[label].names)
  keep_encoded = {image: tfds.decode.SkipDecoding()}
  if info.file_format == tfds.core.FileFormat.ARRAY_RECORD:
    return _indexed(builder, split, names, image, label, keep_encoded)
  features = tfds.features.FeaturesDict(
    {key: info.features[key] for key in (image, label)}
  )

  def parse(serialized):
    record = features.deserialize_example(serialized, decoders=keep_encoded)
    return {'image': record[image], 'label': record[label]}

  return _sequential(split_info, names, parse, config.data.shuffle_buffer)


def _image_and_label(features, source: str) -> tuple[str, str]:
  """The names of the only image and the only class label among `features`."""
  import tensorflow_datasets as tfds

  images, labels = (
    [key for key, feature in features.items() if isinstance(feature, kind)]
    for kind in (tfds.features.Image, tfds.features.ClassLabel)
  )
  # More than one: the conventional name decides.
  images = ['image'] if 'image' in images else images
  labels = ['label'] if 'label' in labels else labels
  if len(images) != 1 or len(labels) != 1:
    raise config_lib.UserError(
      f'{source} is not an image classification set: it has images '
      f'{images} and class labels {labels}, expected one of each'
    )
  return images[0], labels[0]


def _sequential(split_info, names, parse, shuffle_buffer: int) -> Sequential:
  """Records of TFRecord files, in an order that (seed, epoch) decides."""
  import tensorflow as tf

  files = split_info.file_instructions
  paths = [str(f.filename) for f in files]
  skips, takes = (
    np.array([getattr(f, field) for f in files], np.int64)
    for field in ('skip', 'take')
  )

  def read(path, skip, take):
    return tf.data.TFRecordDataset(path).skip(skip).take(take)

  def epoch(seed):
    table = tf.data.Dataset.from_tensor_slices
    if seed is None:
      return table((paths, skips, takes)).flat_map(read).map(parse)
    order = tf.random.experimental.stateless_shuffle(tf.range(len(paths)), seed)
    shuffled = (tf.gather(column, order) for column in (paths, skips, takes))
    records = table(tuple(shuffled)).interleave(
      read, cycle_length=min(len(paths), FILES_AT_ONCE)
    )
    buffer_seed = tf.random.experimental.stateless_fold_in(seed, 1)[0]
    records = records.shuffle(
      shuffle_buffer,
      seed=tf.cast(buffer_seed, tf.int64),
      reshuffle_each_iteration=False,
    )
    return records.map(parse)

  return Sequential(split_info.num_examples, names, epoch)


def _indexed(builder, split, names, image, label, decoders) -> Indexed:
  """Records of ArrayRecord files, read by number."""
  records = builder.as_data_source(split=split, decoders=decoders)

  def read(index):
    record = records[int(index)]
    return record[image], record[label]

  def fetch(index):
    import tensorflow as tf

    encoded, number = tf.numpy_function(
      read, [index], (tf.string, tf.int64), stateful=False
    )
    return {
      'image': tf.ensure_shape(encoded, ()),
      'label': tf.ensure_shape(number, ()),
    }

  return Indexed(len(records), names, fetch)

"""Readers of archives, datasets, weight files and images."""

import contextlib
import functools
import gzip
import io
import pickle
import tarfile
import tempfile

import numpy as np
from PIL import Image
import tensorflow as tf

from inception_jax.data import decode
from inception_jax.data import places
from inception_jax.data.prepare import archives
from inception_jax.data.remote import checked
from inception_jax.data.remote import index as index_lib
from inception_jax.data.sources import cifar
from inception_jax.data.sources import huggingface
from inception_jax.data.sources import tfrecord
from inception_jax.data.sources import webdataset
from inception_jax.errors import UserError
from inception_jax.fid import arrays
from inception_jax.fid import sources as fid_sources
from inception_jax.fid import stats_file
from inception_jax.models import factory
from inception_jax.weights import mindspore_file
from inception_jax.weights import readers
from tests.fuzz.bounds import Target
from tests.support import written_datasets
from tests.support.tar_files import tar
from tests.support.tiny import tiny_config
from tests.support.zip_files import entry
from tests.support.zip_files import raw

_MAX_PIXELS = 10_000


def _write(content, folder, name: str) -> str:
  (folder / name).write_bytes(content)
  return str(folder / name)


def _read_archive(content, folder):
  path = _write(_with_checksums(content), folder, 'x.tar')
  try:
    archives.unpack(path, str(folder / 'out'), 2**20)
  finally:
    assert {file.name for file in folder.iterdir()} <= {'x.tar', 'out'}


def _read_zip(content, folder):
  path = _write(content, folder, 'x.zip')
  archive, _ = places.within(path)
  for number in range(len(archive.sizes)):
    with contextlib.suppress(ValueError):  # an image that is damaged
      archive.read(number)


def _with_checksums(content) -> bytes:
  """Makes the checksum of each header in a .tar right, as an attacker would."""
  content = bytearray(content)
  for at in range(0, len(content) - 511, 512):
    if content[at + 257 : at + 262] == b'ustar':
      content[at + 148 : at + 156] = b' ' * 8
      checksum = sum(content[at : at + 512])
      content[at + 148 : at + 156] = b'%06o\0 ' % checksum
  return bytes(content)


def _archive_seeds():
  member = tarfile.TarInfo('a/b.jpg')
  link = tarfile.TarInfo('a/link')
  link.type, link.linkname = tarfile.SYMTYPE, 'b.jpg'
  plain = tar([(member, b'image'), ('c', b'')])
  long = tar([('d' * 150 + '/x', b'1')])
  nested = tar([('n01.tar', plain), ('n02.tar', tar([('x', b'2')]))])
  zips_ = [raw(entry('a/b', b'1' * 99, method=m)) for m in (0, 8)]
  zips_.append(raw(entry('x/', b''), entry('é', b'2'), entry('n.tar', plain)))
  return [plain, long, nested, gzip.compress(nested, mtime=0), *zips_]


def _archive_hostile():
  names = ('..tar', '...tar', '../x', '/tmp/x', 'a/../../x', 'a\0b', '')
  archives_ = [tar([(name, tar([('x', b'')]))]) for name in names]
  for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
    member = tarfile.TarInfo('a')
    member.type, member.linkname = kind, '..'
    archives_.append(tar([(member, b''), ('a/x', b'1')]))
  bomb = entry('a', bytes(2**24), method=8, size=99)
  archives_.append(raw(bomb, entry('b', offset=0)))
  return [*archives_, raw(bomb), raw(entry('../x'))]


def _read_tar_of_images(content, folder):
  path = _write(_with_checksums(content), folder, 'x.tar')
  split = fid_sources.load(path, _config('digits'))
  for number in range(split.size):
    with contextlib.suppress(tf.errors.OpError):
      split.fetch(number)


def _read_arrays(content, folder):
  for name in ('x.npy', 'x.npz'):
    path = _write(content, folder, name)
    with contextlib.suppress(UserError):
      images = arrays.read(path)
      images[len(images) // 2].sum()
      return
  stats_file.read(path, 'digest')


def _array_seeds():
  images = np.zeros((2, 3, 4, 3), np.uint8)
  files = [io.BytesIO() for _ in range(4)]
  np.save(files[0], images)
  np.savez(files[1], images)
  np.savez_compressed(files[2], images)
  np.savez(files[3], mu=np.zeros(3), sigma=np.eye(3))
  return [file.getvalue() for file in files]


@functools.cache
def _config(source: str, **data):
  config = factory.resolve(tiny_config())
  config.data.source = source
  config.data.update({'image_size': 9, 'max_pixels': _MAX_PIXELS, **data})
  return config


def _config_in(folder, source: str):
  config = _config(source).copy_and_resolve_references()
  config.data.dir = str(folder)
  return config


def _read_cifar(content, folder):
  _write(content, folder, 'test_batch')
  cifar.load(_config_in(folder, 'cifar'), 'test')


def _read_cifar_names(content, folder):
  # A file that cannot be read is a warning, and the names are known.
  _write(content, folder, 'batches.meta')
  _write(_cifar_seeds()[0], folder, 'test_batch')
  cifar.load(_config_in(folder, 'cifar'), 'test')


@functools.cache
def _cifar_seeds():
  batch = {
    b'batch_label': b'one',
    b'data': np.zeros((1, 3072), np.uint8),
    b'labels': [3],
    b'filenames': [b'x.png'],
  }
  small = {**batch, b'data': np.arange(8, dtype=np.uint8).reshape(1, 8)}
  meta = {
    b'num_cases_per_batch': 10000,
    b'label_names': [f'class {i}'.encode() for i in range(10)],
    b'num_vis': 3072,
  }
  # The authors' numpy had other module names.
  return [
    pickle.dumps(x, protocol=2).replace(b'cnumpy._core.', b'cnumpy.core.')
    for x in (batch, small, meta)
  ]


def _read_tfrecords(content, folder):
  """Reads the input as a file, or as an example with the right checksums."""
  path = folder / 'train-00000-of-00001'
  if content[:1] == b'\n':  # a message's first field
    with tf.io.TFRecordWriter(str(path)) as writer:
      writer.write(content)
  else:
    path.write_bytes(content)
  config = _config_in(folder, 'tfrecord')
  config.model.num_classes = 3
  split = tfrecord.load(config, 'train')
  for i in range(min(split.size, 4)):
    split.fetch(tf.constant(i, tf.int64))


def _tfrecord_seeds():
  feature = {
    'image/encoded': tf.train.Feature(
      bytes_list=tf.train.BytesList(value=[_image_seeds()[0]])
    ),
    'image/class/label': tf.train.Feature(
      int64_list=tf.train.Int64List(value=[1])
    ),
    **{
      f'image/object/bbox/{edge}': tf.train.Feature(
        float_list=tf.train.FloatList(value=[0.5])
      )
      for edge in ('xmin', 'xmax', 'ymin', 'ymax')
    },
  }
  features = tf.train.Features(feature=feature)
  example = tf.train.Example(features=features).SerializeToString()
  with tempfile.NamedTemporaryFile() as file:
    with tf.io.TFRecordWriter(file.name) as writer:
      writer.write(example)
      writer.write(example)
    return [example, file.read()]


def _read_shard(content, folder):
  _write(_with_checksums(content), folder, 'train-0.tar')
  config = _config_in(folder, 'webdataset')
  assert webdataset.check(config)  # there is no test
  _fetch(webdataset.load(config, 'train'))


def _read_arrow(content, folder):
  _write(content, folder, 'x.arrow')
  _write(b'{"_data_files": [{"filename": "x.arrow"}]}', folder, 'state.json')
  _fetch(huggingface.load(_config_in(folder, 'huggingface'), 'train'))


def _read_state(content, folder):
  for path in written_datasets.FOLDER.glob('arrow/*/*.arrow'):
    _write(path.read_bytes(), folder, path.name)
  _write(content, folder, 'state.json')
  huggingface.load(_config_in(folder, 'huggingface'), 'train')


def _read_parquet(content, folder):
  _write(content, folder, 'train.parquet')
  split = huggingface.load(_config_in(folder, 'huggingface'), 'train')
  _fetch(split, list(split.epoch((0, 1)).take(4)))


def _fetch(split, elements=None):
  """Fetches a few records; `pipeline` makes bad images of those that fail."""
  for element in elements or range(min(split.size, 4)):
    try:
      split.fetch(tf.constant(element, tf.int64))
    except (OSError, ValueError, ArithmeticError, tf.errors.OpError):
      pass


def _written(pattern: str):
  return lambda: [
    path.read_bytes() for path in sorted(written_datasets.FOLDER.glob(pattern))
  ]


def _weights_reader(name: str):
  return lambda content, folder: readers.read(_write(content, folder, name))


def _graph_seeds():
  with tf.Graph().as_default() as graph:
    tf.compat.v1.constant(np.ones((1, 1, 3, 2), 'f'), name='conv/conv2d_params')
    return [graph.as_graph_def().SerializeToString()]


def _mindspore_seeds():
  tensors = {
    'features.0.conv2d_1a_3x3.conv.weight': np.ones((2, 3, 1, 1), np.float32),
    'bias': np.zeros(4, np.float32),
  }
  with tempfile.NamedTemporaryFile() as file:
    mindspore_file.write(file.name, tensors)
    return [file.read()]


@functools.cache
def _decoder(function: str, **data):
  """Returns a function of decode.py on encoded images, as a graph."""
  config = _config('folder', **data).data

  @tf.function(input_signature=[tf.TensorSpec((), tf.string)], autograph=False)
  def decoded(image):
    if function == 'train_image':
      return decode.train_image(image, tf.constant([0, 0], tf.int64), config)
    return decode.eval_image(image, config, python=function == 'eval_image')

  return decoded


def _image_reader(*args, **data):
  return lambda content, _: _decoder(*args, **data)(tf.constant(content))


def _image_seeds():
  image = Image.fromarray(
    np.random.default_rng(0).integers(0, 256, (8, 6, 3), np.uint8)
  )

  def encoded(kind, image=image, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()

  grey, palette = image.convert('L'), image.convert('P')
  return [
    *(encoded(kind) for kind in ('PNG', 'BMP', 'GIF', 'JPEG', 'WEBP')),
    encoded('JPEG', progressive=True),
    encoded('JPEG', grey),
    encoded('WEBP', lossless=True),
    encoded('PNG', palette),
    encoded('BMP', palette),
    encoded('GIF', palette, save_all=True, append_images=[palette.rotate(90)]),
  ]


def _long_images():
  """Images of few pixels, whose other side is long."""
  images = [Image.new('L', size) for size in ((1, 10_000), (10_000, 1))]
  buffers = [io.BytesIO() for _ in images]
  for image, buffer in zip(images, buffers, strict=True):
    image.save(buffer, 'PNG')
  return [buffer.getvalue() for buffer in buffers]


def _read_index(content, folder):
  del folder
  index_lib.unpack(checked.pack(content))


def _index_seeds():
  rows = np.arange(6, dtype=np.int64).reshape(2, 3)
  tables = {'samples': {1: index_lib.Table(rows, ['a', 'b'])}}
  index = index_lib.Index(['x', 'y.tar'], [b'1', b'22'], tables)
  return [checked.unpack(index.pack())]


TARGETS = {
  'archive': Target(
    (_read_archive, _read_zip, _read_tar_of_images),
    _archive_seeds,
    hostile=_archive_hostile,
  ),
  'array': Target((_read_arrays,), _array_seeds),
  'cifar': Target((_read_cifar, _read_cifar_names), _cifar_seeds),
  'tfrecord': Target(
    (_read_tfrecords,),
    _tfrecord_seeds,
    # Those that `pipeline` makes bad images of.
    (UserError, tf.errors.OpError, UnicodeDecodeError),
  ),
  'webdataset': Target((_read_shard,), _written('webdataset/*.tar')),
  'arrow': Target((_read_arrow,), _written('arrow/*/*.arrow')),
  'state': Target((_read_state,), _written('arrow/*/state.json')),
  'index': Target((_read_index,), _index_seeds, (ValueError,)),
  'parquet': Target((_read_parquet,), _written('parquet/*/*.parquet')),
  'mindspore': Target((_weights_reader('x.ckpt'),), _mindspore_seeds),
  'graph': Target((_weights_reader('x.pb'),), _graph_seeds),
  'image': Target(
    (
      _image_reader('train_image'),
      _image_reader('eval_image', eval_crop_mode='short_side', image_size=64),
      _image_reader('served_image'),
    ),
    _image_seeds,
    (tf.errors.OpError,),
    _long_images,
  ),
}

"""A folder in which the names of the pages exist, with small contents."""

import io
import pathlib
import pickle
import shutil
import tarfile

import numpy as np
from PIL import Image
import safetensors.numpy

from inception_jax.checkpointing import lookup
from inception_jax.checkpointing import manager
from inception_jax.data.prepare import imagenet
from inception_jax.models import architectures
from inception_jax.models import metadata
from inception_jax.training import train_state
from inception_jax.weights import exporter
from inception_jax.weights import hub_folder
from inception_jax.weights import mindspore_file
from inception_jax.weights import sources
from inception_jax.weights.convert import Weights
from tests.support import pictures
from tests.support import small_networks
from tests.support.commands import ROOT
from tests.support.tar_files import tar

# The classes of ImageNet's first three validation images.
SYNSETS = ('n01751748', 'n09193705', 'n02105855')
_RECIPE = """
import runpy
from tests.support import small_networks

def get_config():
  recipe = runpy.run_path({path!r})
  return small_networks.shorten(recipe['get_config']())
"""
# File → framework and network.
_WEIGHTS = {
  'inception_v4.safetensors': ('timm', 'inception_v4'),
  'inceptionv4-train-250_1251.ckpt': ('MindSpore', 'inception_v4'),
  'inception_v4-db9c45b3.ckpt': ('MindCV', 'inception_v4'),
}
_YAML = """
epoch_size: 3
lr_max: 0.5
opt_eps: 1.0
batch_size: 8
---
epoch_size: 'epochs to train for'
"""


def make(folder: pathlib.Path) -> None:
  """Writes what the commands of the pages read; changes this process."""
  small_networks.install()
  rng = np.random.default_rng(0)
  (folder / 'main.py').symlink_to(ROOT / 'main.py')
  (folder / 'configs').mkdir()
  for path in (ROOT / 'configs').glob('*.py'):
    (folder / 'configs' / path.name).write_text(_RECIPE.format(path=str(path)))
  _write_classes(folder / 'IMAGES', ('cat', 'dog'), rng)
  for place in ('data/imagenet', 'path/to/imagenet'):
    _write_classes(folder / place, SYNSETS, rng)
  _write_image(folder / 'cat.jpg', rng)
  shutil.copytree(folder / 'IMAGES/val', folder / 'photos')
  _write_archives(folder, rng)
  for place in ('DATA', 'DIR'):
    manual = folder / place / 'downloads/manual'
    manual.mkdir(parents=True)
    for name in imagenet.FOLDERS:
      (manual / name).symlink_to(folder / name)
  # The README prepares DATA.
  (folder / 'data/tensorflow_datasets').symlink_to('../DATA')
  # Copies of a run that docs/installation.md trains.
  (folder / 'runs').mkdir()
  for name in 'abc':
    (folder / 'runs' / name).symlink_to('digits')
  _write_cifar(folder, 10, rng)
  _write_cifar(folder, 100, rng)
  _write_tfrecords(folder / 'imagenet_tfrecord', rng)
  (folder / 'default_config_gpu.yaml').write_text(_YAML)
  (folder / 'serving/web').mkdir(parents=True)
  for name, (framework, network) in _WEIGHTS.items():
    _write_weights(folder / name, framework, network)
  hub_folder.save(_weights(sources.TIMM['inception_v4'])[0], folder / 'FILE')
  _write_fid(folder, rng)


def _write_fid(folder, rng) -> None:
  """Writes generated images, and the imported network that judges them."""
  np.savez(
    folder / 'samples.npz', rng.integers(0, 256, (12, 32, 32, 3), np.uint8)
  )
  weights, _ = _weights(sources.PYTORCH_FID, 1008)
  about = metadata.to_dict(weights.network, weights.card, ())
  place = lookup.checkpoint_folder(str(folder / 'runs/inception-2015'))
  with manager.CheckpointManager(place) as checkpoints:
    state = vars(train_state.from_weights(weights.variables))
    checkpoints.save(state, {}, about)


def _jpeg(rng) -> bytes:
  buffer = io.BytesIO()
  pixels = rng.integers(0, 256, (4, 4, 3), np.uint8)
  Image.fromarray(pixels).resize((50, 40)).save(buffer, 'JPEG')
  return buffer.getvalue()


def _write_image(path, rng) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_bytes(_jpeg(rng))


def _write_classes(folder, classes, rng) -> None:
  """Writes train/CLASS and val/CLASS, with four and two images of each."""
  for split, count in (('train', 4), ('val', 2)):
    for name in classes:
      for i in range(count):
        _write_image(folder / split / name / f'{i}.jpg', rng)


def _write_archives(folder, rng) -> None:
  """Writes the two archives of ImageNet."""
  each = small_networks.IMAGENET['train'] // len(SYNSETS)
  images = lambda s: tar((f'{s}_{i}.JPEG', _jpeg(rng)) for i in range(each))
  train = tar((f'{s}.tar', images(s)) for s in SYNSETS)
  count = small_networks.IMAGENET['validation']
  names = [f'ILSVRC2012_val_{i + 1:08}.JPEG' for i in range(count)]
  (folder / imagenet.TRAIN).write_bytes(train)
  validation = tar((name, _jpeg(rng)) for name in names)
  (folder / imagenet.VALIDATION).write_bytes(validation)


def _write_cifar(folder, classes: int, rng) -> None:
  """Writes the archive for Python, and dataset/cifar10."""
  names = [f'class_{i}'.encode() for i in range(classes)]
  parts = [f'data_batch_{i}' for i in range(1, 6)] + ['test_batch']
  labels, meta = b'labels', ('batches.meta', {b'label_names': names})
  if classes == 100:
    parts, labels = ['train', 'test'], b'fine_labels'
    meta = ('meta', {b'fine_label_names': names})
  contents = dict([meta])
  for part in parts:
    pixels = rng.integers(0, 256, (4, 3072), np.uint8)
    contents[part] = {b'data': pixels, labels: list(range(4))}
    if classes == 100:
      contents[part][b'coarse_labels'] = [0] * 4
  members = {
    f'cifar/{name}': pickle.dumps(content, protocol=2)
    for name, content in contents.items()
  }
  with tarfile.open(folder / f'cifar-{classes}-python.tar.gz', 'w:gz') as file:
    for name, content in members.items():
      member = tarfile.TarInfo(name)
      member.size = len(content)
      file.addfile(member, io.BytesIO(content))
  if classes == 10:
    for name, content in members.items():
      path = folder / 'dataset/cifar10' / pathlib.Path(name).name
      path.parent.mkdir(parents=True, exist_ok=True)
      path.write_bytes(content)


def _write_tfrecords(folder, rng) -> None:
  """Writes a file of one image for each split, as TF-slim's script does."""
  import tensorflow as tf

  folder.mkdir()
  for split in ('train', 'validation'):
    with tf.io.TFRecordWriter(str(folder / f'{split}-00000-of-00001')) as file:
      encoded = tf.train.BytesList(value=[_jpeg(rng)])
      label = tf.train.Int64List(value=[1])
      feature = {
        'image/encoded': tf.train.Feature(bytes_list=encoded),
        'image/class/label': tf.train.Feature(int64_list=label),
      }
      features = tf.train.Features(feature=feature)
      example = tf.train.Example(features=features)
      file.write(example.SerializeToString())


def _weights(
  source, classes: int = imagenet.CLASSES
) -> tuple[Weights, dict[str, np.ndarray]]:
  """Returns random weights, also as the file's tensors."""
  network = source.network_config(classes, aux_head=False)
  model = architectures.create(network)
  variables = pictures.random_variables(model, small_networks.SIZE)
  weights = Weights('random weights', network, source.card, variables)
  return weights, exporter.to_tensors(network, variables, source)


def _write_weights(path, framework: str, network: str) -> None:
  (source,) = (
    x
    for x in sources.SOURCES
    if (x.framework, x.network_name) == (framework, network)
  )
  _, tensors = _weights(source)
  if path.suffix == '.safetensors':
    safetensors.numpy.save_file(tensors, path)
  else:
    mindspore_file.write(str(path), tensors)

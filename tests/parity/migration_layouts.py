"""Writes CIFAR-10 and photographs as the users of four systems have them.

Each function writes into the folder `root`; tests/parity/migration.py calls
`write`.
"""

import pathlib
import pickle
import shutil
import tarfile
import zipfile

import numpy as np
from PIL import Image

from inception_jax.data.prepare import imagenet

# Images of each class of CIFAR-10, in a training batch and in the test batch.
TRAIN, TEST = 20, 20
BATCHES = 5
CLASSES = (
  *('airplane', 'automobile', 'bird', 'cat', 'deer'),
  *('dog', 'frog', 'horse', 'ship', 'truck'),
)
SHARDS = 2


def cifar_batches(data: pathlib.Path) -> dict[str, tuple]:
  """Returns each file's name, uint8 images [n, 3072] and labels [n]."""

  def read(split: str, first: int, count: int):
    images, labels = [], []
    for i in range(first, first + count):  # classes alternate
      for label, name in enumerate(CLASSES):
        path = sorted((data / split / name).iterdir())[i]
        with Image.open(path) as image:
          planes = np.asarray(image.convert('RGB')).transpose(2, 0, 1)
        images.append(planes.reshape(-1))
        labels.append(label)
    return np.stack(images), labels

  batches = {
    f'data_batch_{i + 1}': read('train', i * TRAIN, TRAIN)
    for i in range(BATCHES)
  }
  return batches | {'test_batch': read('test', 0, TEST)}


def write_cifar(data: pathlib.Path, root: pathlib.Path) -> None:
  """Writes both versions of CIFAR-10, as folders and as archives."""
  python, binary = root / 'cifar-10-batches-py', root / 'cifar-10-batches-bin'
  python.mkdir()
  binary.mkdir()
  batches = cifar_batches(data)
  for name, (images, labels) in batches.items():
    with open(python / name, 'wb') as file:
      pickle.dump({b'data': images, b'labels': labels}, file, protocol=2)
    records = np.hstack([np.array(labels, np.uint8)[:, None], images])
    (binary / f'{name}.bin').write_bytes(records.tobytes())
  with open(python / 'batches.meta', 'wb') as file:
    names = [name.encode() for name in CLASSES]
    pickle.dump({b'label_names': names}, file, protocol=2)
  (binary / 'batches.meta.txt').write_text('\n'.join(CLASSES) + '\n')
  for folder, version in ((python, 'python'), (binary, 'binary')):
    with tarfile.open(root / f'cifar-10-{version}.tar.gz', 'w:gz') as archive:
      archive.add(folder, folder.name)
    write_zip(root / f'cifar-10-{version}.zip', folder)
  # As run_incv3.py's list of files has it.
  six = root / 'cifar-10-six'
  shutil.copytree(binary, six)
  shutil.copy(six / 'data_batch_5.bin', six / 'data_batch_6.bin')


def write_zip(path: pathlib.Path, folder: pathlib.Path) -> None:
  """Writes a folder into an archive, below its name."""
  with zipfile.ZipFile(path, 'w') as archive:
    for file in sorted(folder.rglob('*')):
      archive.write(file, file.relative_to(folder.parent))


def photos_of(folder: pathlib.Path) -> dict[str, pathlib.Path]:
  """Returns the photograph of each synset; names are n01494475_NAME.JPEG."""
  return {
    path.name.partition('_')[0]: path for path in sorted(folder.glob('n*.JPEG'))
  }


def write_imagenet(photos: pathlib.Path, root: pathlib.Path) -> None:
  """Writes class folders, lists, an archive and TFRecords.

  There is one photograph of each class: it is trained on and evaluated on.
  """
  folder, lists = root / 'imagenet', root / 'imagenet-lists'
  images = photos_of(photos)
  for split in ('train', 'val'):
    lines = []
    for label, (synset, path) in enumerate(images.items()):
      for base in (folder, lists):
        place = base / split / synset
        place.mkdir(parents=True)
        shutil.copy(path, place)
      lines.append(f'{split}/{synset}/{path.name} {label}\n')
    (lists / f'{split}_list.txt').write_text(''.join(lines))
  write_zip(root / 'imagenet.zip', folder)
  write_tfrecords(images, root / 'imagenet_tfrecord')


def write_tfrecords(images: dict[str, pathlib.Path], root: pathlib.Path):
  """Writes shards as TF-slim's script does: labels 1 … 1000 of all synsets."""
  import tensorflow as tf

  feature = lambda value: tf.train.Feature(
    int64_list=tf.train.Int64List(value=[value])
    if isinstance(value, int)
    else None,
    bytes_list=tf.train.BytesList(value=[value])
    if isinstance(value, bytes)
    else None,
  )
  synsets = imagenet.synsets()
  root.mkdir()
  for split in ('train', 'validation'):
    parts = np.array_split(list(images), SHARDS)
    for i, part in enumerate(parts):
      name = str(root / f'{split}-{i:05}-of-{SHARDS:05}')
      with tf.io.TFRecordWriter(name) as writer:
        for synset in map(str, part):
          features = {
            'image/encoded': feature(images[synset].read_bytes()),
            'image/class/label': feature(1 + synsets.index(synset)),
            'image/class/synset': feature(synset.encode()),
            'image/filename': feature(images[synset].name.encode()),
          }
          example = tf.train.Example(
            features=tf.train.Features(feature=features)
          )
          writer.write(example.SerializeToString())


def write(
  cifar: pathlib.Path, photos: pathlib.Path, root: pathlib.Path
) -> None:
  """Writes everything into `root`, which must not exist."""
  root.mkdir(parents=True)
  write_cifar(cifar, root)
  write_imagenet(photos, root)

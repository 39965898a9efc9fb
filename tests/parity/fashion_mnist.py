"""Writes the Fashion-MNIST of Debian's package as class folders of PNGs."""

import gzip
import pathlib

import numpy as np
from PIL import Image

TRAIN, VAL = 5_000, 2_000
_HEADERS = {'images': 16, 'labels': 8}  # bytes


def _values(package: pathlib.Path, split: str, kind: str) -> np.ndarray:
  (path,) = package.glob(f'{split}-{kind}-idx*-ubyte.gz')
  with gzip.open(path) as file:
    return np.frombuffer(file.read(), np.uint8, offset=_HEADERS[kind])


def write(package: str, folder: pathlib.Path) -> None:
  """Writes the first images of both splits: folder/train/CLASS/INDEX.png.

  Args:
    package: the folder of the package's four files.
    folder: gets 5,000 images in train and 2,000 in val; unchanged if it exists.
  """
  if folder.exists():
    return
  unfinished = folder.with_name(folder.name + '.unfinished')
  for name, split, count in (('train', 'train', TRAIN), ('val', 't10k', VAL)):
    images = _values(pathlib.Path(package), split, 'images').reshape(-1, 28, 28)
    labels = _values(pathlib.Path(package), split, 'labels')
    assert len(images) == len(labels) >= count
    for i in range(count):
      path = unfinished / name / str(labels[i]) / f'{i:05}.png'
      path.parent.mkdir(parents=True, exist_ok=True)
      Image.fromarray(images[i]).save(path)
  unfinished.rename(folder)

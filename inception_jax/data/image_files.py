"""Image files that belong to no split, as the tools read them."""

from collections.abc import Sequence
import os
import pathlib

import numpy as np

from inception_jax.data import decode
from inception_jax.data import splits
from inception_jax.data.lazy import tf
from inception_jax.data.sources import folder
from inception_jax.data.sources.image_tree import ImageTree
from inception_jax.data.sources.image_tree import suffixes
from inception_jax.errors import UserError
from inception_jax.errors import shorten
from inception_jax.runtime import files as files_lib


def find(paths: list[str]) -> list[str]:
  """Returns `paths` with each folder replaced by the images below it.

  Raises:
    UserError: a folder has no images or cannot be read.
  """
  files, tree = [], ImageTree()
  for path in map(str, map(pathlib.Path, paths)):
    if not os.path.isdir(path):
      files.append(path)
      continue
    images = sorted(entry.path for entry in tree.images(path))
    if tree.unreadable:
      raise UserError(*shorten(tree.unreadable))
    if not images:
      raise UserError(f'{path} has no images: {", ".join(suffixes())}')
    files += images
  tree.log_left_out()
  return files


def open_split(
  paths: list[str], class_names: Sequence[str] = ()
) -> tuple[splits.Indexed, bool]:
  """Returns images as a split, and whether their classes are known.

  Args:
    paths: files, and folders. An image's class is the folder in which it lies,
      one level below its path.
    class_names: the only classes that there may be, in the order of the labels;
      (): those of the images, sorted.

  Raises:
    UserError: a folder has no images or other classes, or an image cannot be
      read.
  """
  images, classes = [], []
  for path in paths:
    for image in find([path]):
      parents = pathlib.Path(image).relative_to(path).parts[:-1]
      images.append(image)
      classes.append(parents[0] if parents else '')
  if faults := files_lib.cannot_read(images):
    raise UserError(*shorten(faults))
  if not all(classes):
    return folder.of_files(images, [0] * len(images), ['']), False
  names = tuple(class_names) or tuple(sorted(set(classes)))
  numbers = {name: i for i, name in enumerate(names)}
  if unknown := sorted(set(classes) - set(names)):
    raise UserError(
      *shorten([f'{paths[0]}: no other image is of class {x}' for x in unknown])
    )
  labels = [numbers[name] for name in classes]
  return folder.of_files(images, labels, names), True


def read(path: str, data) -> np.ndarray:
  """Returns the evaluation crop of an image file: uint8 [S, S, C]."""
  encoded = tf.constant(files_lib.read(path))
  return decode.eval_image(encoded, data).numpy()

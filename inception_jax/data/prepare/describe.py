"""What a split's images are like: sizes, formats, classes, and examples."""

import bisect
import collections
import dataclasses
import io
import warnings

import numpy as np
from PIL import Image
import tqdm

from inception_jax.data import decode
from inception_jax.data import pipeline
from inception_jax.data import threads
from inception_jax.data.lazy import tf
from inception_jax.data.splits import Indexed
from inception_jax.data.splits import Split

_FORMATS = ('JPEG', 'PNG', 'GIF', 'BMP', 'WEBP', 'TIFF', 'JPEG2000', 'AVIF')
_JPEG = ('JPEG', 'MPO')  # the latter of phones: with more pictures behind it
_ORIENTATION = 0x0112  # of EXIF
_EXAMPLES = 4  # of a class
_MOST_CLASSES = 60  # with examples
_PIXELS = 112  # of a side of an example


@dataclasses.dataclass
class Description:
  """What was found in a split.

  Attributes:
    name: of the split.
    class_names: one per class, in the order of the labels.
    counts: images of each class, int [classes].
    sizes: (width, height) of each image as it is stored, int [images, 2];
      without those whose header cannot be read.
    formats: images by format: 'JPEG', …, 'raw' or 'not known'.
    modes: images by Pillow's colour mode: 'RGB', 'L', 'CMYK', …
    turned: images whose EXIF orientation is not upright.
    examples: JPEGs of a few good images of each of some classes, by label.
  """

  name: str
  class_names: tuple[str, ...]
  counts: np.ndarray
  sizes: np.ndarray
  formats: collections.Counter
  modes: collections.Counter
  turned: int
  examples: dict[int, list[bytes]]


def describe(name: str, split: Split, data) -> Description:
  """Reads every record of a split, and decodes some as examples.

  Records that cannot be read are left out; `verify.bad_images` names them.

  Args:
    name: of the split.
    split: the opened split.
    data: `config.data`, whose limits and orientation examples are decoded with.
  """
  pipeline.hide_gpus()
  classes = len(split.class_names)
  shown = set(np.linspace(0, classes - 1, _MOST_CLASSES).round().astype(int))
  # Those of the lowest draws are the examples, whatever the order of reading.
  draws = np.random.default_rng(0).random(split.size)
  found = Description(
    name,
    split.class_names,
    np.zeros(classes, int),
    np.zeros((0, 2), int),
    collections.Counter(),
    collections.Counter(),
    0,
    {},
  )
  sizes, kept = [], collections.defaultdict(list)
  records = zip(draws, _records(split, data.workers), strict=False)
  for draw, record in tqdm.tqdm(records, f'describing {name}', split.size):
    image, label = record['image'], int(record['label'])
    found.counts[label] += 1
    _add_header(found, sizes, image)
    if label not in shown:
      continue
    examples = kept[label]
    is_among = len(examples) < _EXAMPLES or draw < examples[-1][0]
    if is_among and (picture := _picture(image, data)):
      bisect.insort(examples, (draw, picture))
      del examples[_EXAMPLES:]
  found.sizes = np.array(sizes, int).reshape(-1, 2)
  for label, examples in kept.items():
    found.examples[label] = [picture for _, picture in examples]
  return found


def _records(split: Split, workers: int):
  """Yields each record as numpy arrays, without those that cannot be read."""
  if isinstance(split, Indexed):
    elements = tf.data.Dataset.range(split.size)
  else:
    elements = split.epoch(None)
  fetched = elements.map(split.fetch, threads.num_parallel_calls(workers))
  return fetched.ignore_errors().as_numpy_iterator()


def _add_header(found: Description, sizes: list, image) -> None:
  """Counts the format, the mode and the size of an image, without decoding."""
  if isinstance(image, np.ndarray):
    found.formats['raw'] += 1
    found.modes['L' if image.shape[-1] == 1 else 'RGB'] += 1
    sizes.append(image.shape[1::-1])
    return
  try:
    with (
      warnings.catch_warnings(action='ignore'),  # of large or odd images
      Image.open(io.BytesIO(image), formats=_FORMATS) as opened,
    ):
      kind = 'JPEG' if opened.format in _JPEG else opened.format
      mode, size = opened.mode, opened.size
      turn = opened.getexif().get(_ORIENTATION, 1) if kind == 'JPEG' else 1
  except Exception:  # each format raises its own
    found.formats['not known'] += 1
    return
  found.formats[kind] += 1
  found.modes[mode] += 1
  found.turned += turn in range(2, 9)
  sizes.append(size)


def _picture(image, data) -> bytes | None:
  """Returns the central square as a small JPEG; None for a bad image."""
  data = data.copy_and_resolve_references()
  data.eval_crop_mode, data.eval_crop_fraction = 'short_side', 1.0
  data.image_size, data.interpolation = _PIXELS, 'bilinear'
  try:
    pixels = decode.eval_image(tf.constant(image), data).numpy()
  except Exception:  # each decoder raises its own
    return None
  file = io.BytesIO()
  pixels = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
  Image.fromarray(pixels).save(file, 'JPEG', quality=80)
  return file.getvalue()

"""What `tools.benchmark --what=input` measures on this side."""

import itertools
import os
import pathlib
import time

import numpy as np

# Widths and heights as ImageNet has them, and how often.
_SIZES = {
  (500, 375): 55,
  (375, 500): 15,
  (500, 333): 12,
  (333, 500): 5,
  (300, 225): 5,
  (640, 480): 4,
  (150, 200): 3,
  (500, 500): 2,
  (1024, 768): 2,
  (1600, 1200): 1,
}
_QUALITIES = (75, 85, 90, 95)
_GRAIN = 21
_CLASSES = 4


def write_photos(folder: str, count: int) -> None:
  """JPEGs of ImageNet's sizes and bytes, cut from photographs, with grain.

  Two photographs come with scikit-learn. ImageNet's files have 115 kB on
  average, and 200,000 pixels.
  """
  from PIL import Image
  from sklearn import datasets

  photos = list(map(Image.fromarray, datasets.load_sample_images().images))
  random = np.random.default_rng(0)
  sizes = list(itertools.chain(*([s] * n for s, n in _SIZES.items())))
  for i in range(count):
    photo = photos[i % len(photos)]
    width, height = sizes[random.integers(len(sizes))]
    share = random.uniform(0.5, 1.0)
    extent = np.floor(np.array(photo.size) * share).astype(int)
    corner = random.integers(0, np.array(photo.size) - extent + 1)
    box = (*corner, *(corner + extent))
    image = photo.crop(box).resize((width, height), Image.BICUBIC)
    grain = random.normal(0, _GRAIN, (height, width, 1))
    pixels = np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8)
    where = os.path.join(folder, f'class_{i % _CLASSES}')
    os.makedirs(where, exist_ok=True)
    Image.fromarray(pixels).save(
      os.path.join(where, f'n{i % _CLASSES:08}_{i}.JPEG'),
      quality=int(random.choice(_QUALITIES)),
    )


def rate(make, batch: int, batches: int) -> float:
  """Images per second of the iterator of batches that `make` makes, warm."""
  # Gone with this function, with the threads that read ahead for it.
  stream = make()
  for _ in range(2):
    next(stream)
  started = time.perf_counter()
  for _ in range(batches):
    next(stream)
  return batches * batch / (time.perf_counter() - started)


def bare(split, config, resize: bool):
  """The crops of `pipeline.train_batches`, decoded and nothing else.

  Without order, filter, labels or what is done for bad images.

  Args:
    split: an `Indexed` split of JPEGs.
    config: the whole config.
    resize: whether the crops are resized and batched, too.
  """
  import tensorflow as tf

  from inception_jax.data import decode

  seed = tf.constant(config.seed, tf.int64)

  def image_of(position):
    record = split.fetch(position % split.size)
    draw = tf.stack([seed, position])
    if resize:
      return decode.train_image(record['image'], draw, config.data)
    return tf.size(decode.train_crop(record['image'], draw, config.data))

  images = tf.data.Dataset.range(2**62).map(image_of, tf.data.AUTOTUNE)
  images = images.batch(config.batch_size).prefetch(tf.data.AUTOTUNE)
  return images.as_numpy_iterator()


def write_list(folder: str, images: str, count: int) -> None:
  """FOLDER/train_list.txt of `count` lines, over the files in `images`."""
  paths = sorted(map(str, pathlib.Path(images).rglob('*.*')))
  lines = itertools.islice(itertools.cycle(paths), count)
  with open(os.path.join(folder, 'train_list.txt'), 'w') as file:
    file.writelines(f'{path} {i % 1000}\n' for i, path in enumerate(lines))


def peak_memory() -> int:
  """The most bytes that this process has had in memory."""
  # Not getrusage's: that counts what the parent had when it forked, too.
  with open('/proc/self/status') as file:
    (line,) = (line for line in file if line.startswith('VmHWM'))
  return 1024 * int(line.split()[1])

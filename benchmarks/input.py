"""Compares the input pipeline with torchvision's and with bare decoding."""

import itertools
import logging
import os
import pathlib
import tempfile
import time

import numpy as np

from benchmarks import timing
from inception_jax.data import decode
from inception_jax.data import pipeline
from inception_jax.data import threads
from inception_jax.data.lazy import tf
from inception_jax.data.sources import registry
from inception_jax.models import factory

log = logging.getLogger(__name__)

PHOTOS = 512
# {(width, height): relative frequency}, as in ImageNet.
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
_GRAIN = 21  # standard deviation of the noise, in pixel values
_CLASSES = 4
BATCH = 128
_EPOCHS = 10


def measure(
  config, folder: str, torch: str, rounds: int, batches: int, listed: int
) -> dict:
  """Measures speed and memory of the input pipeline with the config's crops.

  Args:
    folder: of class folders of JPEGs; '': of photographs that are created.
    torch: a Python interpreter with torchvision; '': our side alone.
    batches: of 128 images, per repetition.
    listed: length of the file list for the memory measurement.

  Returns:
    Medians: 'times_…', our speed relative to each other side, and each side's
    'images_per_sec'. Peak memory: 'memory_gb' with the file list, and
    'memory_growth_mb' from the second epoch to the tenth.
  """
  if not folder:
    with tempfile.TemporaryDirectory() as created:
      folder = os.path.join(created, 'train')
      write_photos(folder, PHOTOS)
      found = measure(config, folder, torch, rounds, batches, listed)
      return found | {'what': 'input'}
  config = factory.resolve(config)
  config.data.source, config.data.dir = 'folder', os.path.dirname(folder)
  config.data.train_split = os.path.basename(folder)
  config.batch_size = BATCH
  split = registry.load(config, config.data.train_split)
  stream = lambda: pipeline.train_batches(split, config, 0, range(BATCH))
  sides = {
    'ours': stream,
    'same_crops_alone': lambda: _bare_crops(split, config, resize=True),
    'decoding_alone': lambda: _bare_crops(split, config, resize=False),
  }
  results = []
  for _ in timing.rounds(rounds):
    theirs: dict = {}
    if torch:
      args = (folder, config.data.image_size, BATCH, batches)
      theirs = timing.run_peer(torch, 'torchvision_input.py', *args)
    versions = theirs.pop('versions', {})
    rates = {f'torchvision_{dtype}': rate for dtype, rate in theirs.items()}
    for name, make in sides.items():
      rates[name] = _images_per_sec(make, batches)
    results.append(rates)
  rates = {name: np.array([x[name] for x in results]) for name in results[0]}
  return {
    'what': 'input, given images',
    **{
      f'times_{name}': timing.median(rates['ours'] / rate, 2)
      for name, rate in rates.items()
      if name != 'ours'
    },
    'images_per_sec': {n: timing.median(rate) for n, rate in rates.items()},
    **_memory(config, folder, listed, split.size, stream()),
    'versions': versions,
  }


def _memory(config, folder: str, listed: int, images: int, stream) -> dict:
  """Measures growth over epochs, then the peak with a long file list."""
  per_epoch = -(-images // BATCH)
  for _ in range(2 * per_epoch):
    next(stream)
  before = _peak_memory()
  for _ in range((_EPOCHS - 2) * per_epoch):
    next(stream)
  growth = _peak_memory() - before
  paths = itertools.cycle(sorted(map(str, pathlib.Path(folder).rglob('*.*'))))
  with tempfile.TemporaryDirectory() as scratch:
    with open(os.path.join(scratch, 'train_list.txt'), 'w') as file:
      lines = enumerate(itertools.islice(paths, listed))
      file.writelines(f'{path} {i % 1000}\n' for i, path in lines)
    config.data.dir, config.data.train_split = scratch, 'train'
    split = registry.load(config, 'train')
    stream = pipeline.train_batches(split, config, 0, range(BATCH))
    next(stream)
  return {
    'files_listed': split.size,
    'memory_gb': round(_peak_memory() / 1e9, 2),
    'memory_growth_mb': round(growth / 1e6, 1),
  }


def write_photos(folder: str, count: int) -> None:
  """Writes JPEGs with the dimensions and file sizes of ImageNet's.

  They are crops of scikit-learn's two photographs with added grain. ImageNet's
  files average 115 kB and 200,000 pixels.
  """
  from PIL import Image
  from sklearn import datasets

  log.info('creating %d photographs', count)
  photos = list(map(Image.fromarray, datasets.load_sample_images().images))
  random = np.random.default_rng(0)
  sizes = list(itertools.chain(*([s] * n for s, n in _SIZES.items())))
  for i in range(count):
    photo = photos[i % len(photos)]
    width, height = sizes[random.integers(len(sizes))]
    scale = random.uniform(0.5, 1.0)
    extent = np.floor(np.array(photo.size) * scale).astype(int)
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


def _images_per_sec(make, batches: int) -> float:
  """Returns the speed of `make()`, an iterator, after a warm-up."""
  # Local, so that the threads that prefetch for it end with this function.
  stream = make()
  for _ in range(2):
    next(stream)
  started = time.perf_counter()
  for _ in range(batches):
    next(stream)
  return batches * BATCH / (time.perf_counter() - started)


def _bare_crops(split, config, resize: bool):
  """Iterates over the decoded crops of `pipeline.train_batches` alone.

  Leaves out shuffling, filters, labels and the handling of bad images and, if
  not `resize`, also resizing and batching the crops.
  """
  seed = tf.constant(config.seed, tf.int64)

  def image_of(position):
    record = split.fetch(position % split.size)
    draw = tf.stack([seed, position])
    if resize:
      return decode.train_image(record['image'], draw, config.data)
    return tf.size(decode.train_crop(record['image'], draw, config.data))

  parallel = threads.num_parallel_calls(config.data.workers)
  images = tf.data.Dataset.range(2**62).map(image_of, parallel)
  images = images.batch(config.batch_size).prefetch(tf.data.AUTOTUNE)
  return images.as_numpy_iterator()


def _peak_memory() -> int:
  """Returns this process's peak resident memory in bytes."""
  # getrusage would include the parent's memory at the time of the fork.
  with open('/proc/self/status') as file:
    (line,) = (line for line in file if line.startswith('VmHWM'))
  return 1024 * int(line.split()[1])

"""Compares the input pipeline with torchvision's and with bare decoding."""

import itertools
import json
import logging
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

import numpy as np

log = logging.getLogger(__name__)

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
_BATCH = 128
_EPOCHS = 10
_PEER = pathlib.Path(__file__).parent / 'peers' / 'torchvision_input.py'


def measure(
  config, folder: str, torch: str, rounds: int, batches: int, listed: int
) -> dict:
  """Measures speed and memory of the input pipeline.

  Args:
    config: the whole config; its crops are used.
    folder: of class folders of JPEGs.
    torch: a Python interpreter with torchvision.
    rounds: repetitions of each side.
    batches: of 128 images, per repetition.
    listed: length of the file list for the memory measurement.

  Returns:
    Medians: 'times_…', our speed relative to each other side, and each side's
    'images_per_sec'. Peak memory: 'memory_gb' with the file list, and
    'memory_growth_mb' from the second epoch to the tenth.
  """
  from inception_jax.data import pipeline
  from inception_jax.data.sources import registry
  from inception_jax.models import factory

  config = factory.resolve(config)
  config.data.source, config.data.dir = 'folder', os.path.dirname(folder)
  config.data.train_split = os.path.basename(folder)
  config.batch_size = _BATCH
  split = registry.load(config, config.data.train_split)
  stream = lambda: pipeline.train_batches(split, config, 0, range(_BATCH))
  sides = {
    'ours': stream,
    'same_crops_alone': lambda: bare_crops(split, config, resize=True),
    'decoding_alone': lambda: bare_crops(split, config, resize=False),
  }
  results = []
  for i in range(rounds):
    log.info('round %d of %d', i + 1, rounds)
    theirs = _torchvision(torch, folder, config.data.image_size, batches)
    versions = theirs.pop('versions')
    rates = {f'torchvision_{dtype}': rate for dtype, rate in theirs.items()}
    for name, make in sides.items():
      rates[name] = throughput(make, _BATCH, batches)
    results.append(rates)
  rates = {
    name: statistics.median(rates[name] for rates in results)
    for name in results[0]
  }
  return {
    **{f'times_{n}': _ratio(results, n) for n in rates if n != 'ours'},
    'images_per_sec': {name: round(rate) for name, rate in rates.items()},
    **_memory(config, folder, listed, split.size, stream()),
    'versions': versions,
  }


def _ratio(results, name: str) -> float:
  ratios = [rates['ours'] / rates[name] for rates in results]
  return round(statistics.median(ratios), 2)


def _torchvision(torch: str, folder: str, size: int, batches: int) -> dict:
  args = [torch, _PEER, folder, size, _BATCH, batches]
  done = subprocess.run(map(str, args), capture_output=True, text=True)
  if done.returncode:
    raise RuntimeError(f'{_PEER.name} failed:\n{done.stderr[-2000:]}')
  return json.loads(done.stdout.splitlines()[-1])


def _memory(config, folder: str, listed: int, images: int, stream) -> dict:
  """Measures growth over epochs, then the peak with a long file list."""
  from inception_jax.data import pipeline
  from inception_jax.data.sources import registry

  per_epoch = -(-images // _BATCH)
  for _ in range(2 * per_epoch):
    next(stream)
  before = peak_memory()
  for _ in range((_EPOCHS - 2) * per_epoch):
    next(stream)
  growth = peak_memory() - before
  with tempfile.TemporaryDirectory() as scratch:
    write_list(scratch, folder, listed)
    config.data.dir, config.data.train_split = scratch, 'train'
    split = registry.load(config, 'train')
    stream = pipeline.train_batches(split, config, 0, range(_BATCH))
    next(stream)
  return {
    'files_listed': split.size,
    'memory_gb': round(peak_memory() / 1e9, 2),
    'memory_growth_mb': round(growth / 1e6, 1),
  }


def write_photos(folder: str, count: int) -> None:
  """Writes JPEGs with the dimensions and file sizes of ImageNet's.

  They are crops of scikit-learn's two photographs with added grain. ImageNet's
  files average 115 kB and 200,000 pixels.
  """
  from PIL import Image
  from sklearn import datasets

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


def throughput(make, batch: int, batches: int) -> float:
  """Returns the images per second of `make()`, an iterator, after a warm-up."""
  # Local, so that the threads that prefetch for it end with this function.
  stream = make()
  for _ in range(2):
    next(stream)
  started = time.perf_counter()
  for _ in range(batches):
    next(stream)
  return batches * batch / (time.perf_counter() - started)


def bare_crops(split, config, resize: bool):
  """Iterates over the decoded crops of `pipeline.train_batches` alone.

  Leaves out shuffling, filters, labels and the handling of bad images.

  Args:
    split: an `Indexed` split of JPEGs.
    config: the whole config.
    resize: whether the crops are also resized and batched.
  """
  import tensorflow as tf

  from inception_jax.data import decode
  from inception_jax.data import pipeline

  seed = tf.constant(config.seed, tf.int64)

  def image_of(position):
    record = split.fetch(position % split.size)
    draw = tf.stack([seed, position])
    if resize:
      return decode.train_image(record['image'], draw, config.data)
    return tf.size(decode.train_crop(record['image'], draw, config.data))

  parallel = pipeline.num_parallel_calls()
  images = tf.data.Dataset.range(2**62).map(image_of, parallel)
  images = images.batch(config.batch_size).prefetch(tf.data.AUTOTUNE)
  return images.as_numpy_iterator()


def write_list(folder: str, images: str, count: int) -> None:
  """Writes FOLDER/train_list.txt with `count` lines that cycle over files."""
  paths = sorted(map(str, pathlib.Path(images).rglob('*.*')))
  lines = itertools.islice(itertools.cycle(paths), count)
  with open(os.path.join(folder, 'train_list.txt'), 'w') as file:
    file.writelines(f'{path} {i % 1000}\n' for i, path in enumerate(lines))


def peak_memory() -> int:
  """Returns this process's peak resident memory in bytes."""
  # getrusage would include the parent's memory at the time of the fork.
  with open('/proc/self/status') as file:
    (line,) = (line for line in file if line.startswith('VmHWM'))
  return 1024 * int(line.split()[1])

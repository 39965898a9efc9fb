"""The input pipeline beside torchvision's, and beside decoding alone."""

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

_BATCH = 128

_EPOCHS = 10

_BASELINE = pathlib.Path(__file__).parent / 'peers' / 'torchvision_input.py'


def measure(
  config, folder: str, torch: str, rounds: int, batches: int, listed: int
) -> dict:
  """Ratios of the input pipeline, and the memory that it takes.

  Args:
    config: the whole config; how it crops counts.
    folder: of class folders of JPEGs.
    torch: a Python that has torchvision.
    rounds: turns of each side.
    batches: of 128, a turn.
    listed: files whose list has to fit into memory.

  Returns:
    'times_…', our speed over that of each side; 'images_per_sec' of all;
    'memory_gb' with the list, 'memory_growth_mb' from two epochs to ten.
    Medians.
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
    'same_crops_alone': lambda: bare(split, config, True),
    'decoding_alone': lambda: bare(split, config, False),
  }
  found = []
  for i in range(rounds):
    log.info('round %d of %d', i + 1, rounds)
    theirs = _torchvision(torch, folder, config.data.image_size, batches)
    versions = theirs.pop('versions')
    figures = {f'torchvision_{end}': rate for end, rate in theirs.items()}
    for name, side in sides.items():
      figures[name] = rate(side, _BATCH, batches)
    found.append(figures)
  rates = {
    name: statistics.median(figures[name] for figures in found)
    for name in found[0]
  }
  return {
    **{f'times_{n}': _ratio(found, n) for n in rates if n != 'ours'},
    'images_per_sec': {name: round(rate) for name, rate in rates.items()},
    **_memory(config, folder, listed, split.size, stream()),
    'versions': versions,
  }


def _ratio(rounds, name: str) -> float:
  ratios = [figures['ours'] / figures[name] for figures in rounds]
  return round(statistics.median(ratios), 2)


def _torchvision(torch: str, folder: str, size: int, batches: int) -> dict:
  args = [torch, _BASELINE, folder, size, _BATCH, batches]
  done = subprocess.run(map(str, args), capture_output=True, text=True)
  if done.returncode:
    raise RuntimeError(f'torchvision failed:\n{done.stderr[-2000:]}')
  return json.loads(done.stdout.splitlines()[-1])


def _memory(config, folder: str, listed: int, images: int, stream) -> dict:
  """Growth over epochs, then all of it with a list as long as ImageNet's."""
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
  from inception_jax.data import pipeline

  seed = tf.constant(config.seed, tf.int64)

  def image_of(position):
    record = split.fetch(position % split.size)
    draw = tf.stack([seed, position])
    if resize:
      return decode.train_image(record['image'], draw, config.data)
    return tf.size(decode.train_crop(record['image'], draw, config.data))

  images = tf.data.Dataset.range(2**62).map(image_of, pipeline.map_in_order())
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

"""The first training batch, as the network sees it."""

import jax
import numpy as np

from inception_jax.config import durations
from inception_jax.data import pipeline
from inception_jax.data.augment import transforms
from inception_jax.data.splits import Split
from inception_jax.training import growth
from inception_jax.training import train_step


def first_images(
  config, split: Split, num_classes: int, count: int
) -> tuple[np.ndarray, np.ndarray]:
  """Returns the first images of the first batch, cropped and augmented.

  Crops are those of the first step, on any number of hosts. Augmentation is
  drawn in the same way, but for a batch of these images alone: only where that
  is the whole batch, it is the first step's.

  Args:
    config: the whole config, resolved.
    split: of the training images.
    num_classes: N.
    count: the most images.

  Returns:
    uint8 [count, S, S, C], before they are normalized; and the targets, float32
    [count, N], each a distribution, over two classes after mixup or CutMix.

  Raises:
    UserError: the images cannot be read.
  """
  data = config.data
  # An image is mixed with one that follows it.
  rows = range(min(config.batch_size, count + data.repeats))
  batches = pipeline.train_batches(split, config, 0, rows)
  batch = next(batches)
  batches.close()
  augment_key, _ = train_step.keys(config.seed, 0)
  plan = durations.plan(config, split.size)
  size = growth.image_size(data, plan, 1)

  def augment(key, batch):
    images, targets = transforms.train_batch(key, batch, data, num_classes)
    return growth.resize(images, size), targets

  images, targets = jax.jit(augment)(augment_key, batch)
  levels = np.asarray(images) * data.std + data.mean
  levels = np.clip(np.round(levels), 0, 255).astype(np.uint8)
  return levels[:count], np.asarray(targets)[:count]

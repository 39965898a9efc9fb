"""Images that grow over a training, as progressive resizing (Howard 2018).

Batches are read at `data.image_size`, so that neither the order nor the crops
change, and the training step shrinks them on the device. The size is a function
of the step alone. Evaluations see the full size.
"""

import math

import jax

from inception_jax.config import durations


def image_size(data, plan: durations.Plan, step: int) -> int:
  """Returns the pixels of the images at a step, the first of which is 1.

  In the first `plan.grow_for` steps it rises from `data.grow_from` in
  `data.grow_stages` stages of equal length, and then is `data.image_size`.
  """
  if not data.grow_from or step > plan.grow_for:
    return data.image_size
  stage = (step - 1) * data.grow_stages // plan.grow_for
  growth = data.image_size - data.grow_from
  return data.grow_from + growth * stage // data.grow_stages


def image_sizes(data, plan: durations.Plan, steps: range) -> list[int]:
  """Returns the sizes in consecutive steps, the largest first."""
  stages = range(data.grow_stages + 1)
  begins = (math.ceil(plan.grow_for * i / data.grow_stages) for i in stages)
  found = {*steps[:1]} | {begin + 1 for begin in begins if begin + 1 in steps}
  sizes = {image_size(data, plan, step) for step in found}
  return sorted(sizes, reverse=True)


def resize(images, size: int):
  """Resizes float32 [B, S, S, C] to [B, size, size, C], with antialiasing."""
  batch, height, _, channels = images.shape
  if height == size:
    return images
  shape = (batch, size, size, channels)
  return jax.image.resize(images, shape, 'linear', antialias=True)

"""What `image_ops` takes on TPUs in place of scatters and most gathers.

There, both go element by element: the histograms and tables of equalize are
products of matrices here, and the four neighbours of a pixel come with one
index. The values are those of image_ops' own functions, which other platforms
keep: CPUs take five times as long for these.
"""

import jax
import jax.numpy as jnp


def histograms(levels):
  """How often each level is in each channel.

  Args:
    levels: int32 [H, W, C] in 0…255.

  Returns:
    int32 [256, C].
  """
  # 0 and 1 are exact in bfloat16, and so are counts in the sums' float32, up
  # to 2^24 pixels.
  high, low = _digits(levels)
  counts = jnp.einsum('hyxc,lyxc->hlc', high, low, precision='default')
  return counts.reshape(256, -1).astype(jnp.int32)


def look_up(table, levels):
  """What the tables have for the levels.

  Args:
    table: int32 [256, C] of 0…255.
    levels: int32 [H, W, C] in 0…255.

  Returns:
    float32 [H, W, C].
  """
  # 0…255 are exact in bfloat16.
  high, low = _digits(levels)
  table = table.astype(jnp.float32).reshape(16, 16, -1)
  rows = jnp.einsum('hlc,hyxc->lyxc', table, high, precision='default')
  return jnp.sum(rows * low, axis=0)


def _digits(levels):
  """Both hexadecimal digits, one-hot: float32 [16, H, W, C]."""
  digits = jnp.arange(16)[:, None, None, None]
  one_hot = lambda digit: (digit == digits).astype(jnp.float32)
  return one_hot(levels >> 4), one_hot(levels & 15)


def interpolate(image, source, fill):
  """Bilinear interpolation.

  Args:
    image: float32 [H, W, C] of whole numbers, 0…255.
    source: float32 [2, H, W], the row and the column to take a pixel from.
    fill: float32 [C], for what is outside of the image.

  Returns:
    float32 [H, W, C].
  """
  height, width, channels = image.shape
  low = jnp.floor(source)
  part = source - low
  # The four neighbours of each place, one also before the first pixel.
  pixels = jnp.pad(image.astype(jnp.uint32), ((1, 1), (1, 1), (0, 0)))
  rows = pixels[:, :-1] | pixels[:, 1:] << 8
  packed = rows[:-1] | rows[1:] << 16
  y, x = low.astype(jnp.int32)
  index = jnp.clip(y + 1, 0, height) * (width + 1) + jnp.clip(x + 1, 0, width)
  # Unpacked after it has its shape, not four times before.
  neighbours = jax.lax.optimization_barrier(packed.reshape(-1, channels)[index])
  total, inside = jnp.zeros_like(image), 0.0
  for i, (dy, dx) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
    share = (part[0] if dy else 1 - part[0]) * (part[1] if dx else 1 - part[1])
    there = (0 <= y + dy) & (y + dy < height) & (0 <= x + dx) & (x + dx < width)
    share = jnp.where(there, share, 0.0)[..., None]
    total += share * (neighbours >> 8 * i & 255).astype(jnp.float32)
    inside += share
  return total + (1 - inside) * fill

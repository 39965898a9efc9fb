"""Moments of features that a training loop adds up on the device.

Sums of floating-point numbers depend on their order, that is, on batches and
devices. Here, features become integers, in units of limit/2³¹, and the sums are
exact: the products of 8-bit digits add up exactly in float32, as they also do
in the bfloat16 or TF32 of a matrix unit, and the totals are words of integers.
"""

from flax import struct
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from inception_jax.errors import UserError
from inception_jax.fid import frechet
from inception_jax.fid.moments import Moments

_BITS = 31  # of a feature, without its sign
_DIGIT, _DIGITS = 8, 4  # of a feature
_WORD, _WORDS = 24, 4  # of a sum: 2⁶² × 2³¹ rows is within 96 bits
_ROWS = 512  # 2⁹ products of 2⁷ × 2⁷ are integers that float32 holds


@struct.dataclass
class Statistics:
  """Exact sums of features: one value for all batches, orders and devices.

  A pytree: `update` and `merge` run under jit, on sharded features as well.

  Attributes:
    sums: int32 [4, D], words of 24 bits, the lowest first; units of limit/2³¹.
    products: int32 [4, D, D], likewise; units of the square of it.
    count: int32, how many rows.
    invalid: int32, how many values were not finite, or not within the limit.
    limit: a power of two that is above the size of every feature.
  """

  sums: jax.Array
  products: jax.Array
  count: jax.Array
  invalid: jax.Array
  limit: float = struct.field(pytree_node=False)

  @classmethod
  def empty(cls, dimension: int, limit: float = 64.0) -> 'Statistics':
    """Returns the statistics of no rows.

    Features are rounded to multiples of limit/2³¹: 3e-8, by default, which is
    what float32 resolves at 0.25.

    Args:
      dimension: D of the features.
      limit: a power of two. `moments` reports features that are above it.
    """
    if np.frexp(limit)[0] != 0.5:
      raise ValueError(f'limit={limit} is not a power of two')
    return cls(
      jnp.zeros((_WORDS, dimension), jnp.int32),
      jnp.zeros((_WORDS, dimension, dimension), jnp.int32),
      jnp.zeros((), jnp.int32),
      jnp.zeros((), jnp.int32),
      float(limit),
    )

  def update(self, features, mask=None) -> 'Statistics':
    """Adds rows.

    Args:
      features: float [B, D], of any float type.
      mask: [B]; rows where it is 0 are left out, whatever they hold.
    """
    if mask is None:
      mask = jnp.ones(features.shape[:1], bool)
    used = mask.astype(bool)[:, None]
    features = features.astype(jnp.float32)
    valid = jnp.abs(features) < self.limit  # false for NaN
    scaled = jnp.round(features * (2**_BITS / self.limit))
    digits = _digits(jnp.where(valid & used, scaled, 0.0).astype(jnp.int32))
    # Rows of a chunk are far apart, so that every device has some.
    chunks = max(-(-len(features) // _ROWS), 1)
    padding = -len(features) % chunks
    digits = jnp.pad(digits, ((0, 0), (0, padding), (0, 0)))
    digits = digits.reshape(_DIGITS, -1, chunks, digits.shape[-1])

    def add(totals, chunk):
      return tuple(map(_add, totals, _products(chunk))), None

    # Under shard_map, only the sum of the first one has the carry's type.
    totals, _ = add((self.sums, self.products), digits[:, :, 0])
    if chunks > 1:
      totals, _ = lax.scan(add, totals, jnp.moveaxis(digits[:, :, 1:], 2, 0))
    return self.replace(
      sums=totals[0],
      products=totals[1],
      count=self.count + jnp.sum(used, dtype=jnp.int32),
      invalid=self.invalid + jnp.sum(~valid & used, dtype=jnp.int32),
    )

  def merge(self, other: 'Statistics') -> 'Statistics':
    """Returns the statistics of the rows of both, which have one limit."""
    if (self.sums.shape, self.limit) != (other.sums.shape, other.limit):
      raise ValueError('statistics of other dimensions, or with another limit')
    return self.replace(
      sums=_carry(self.sums + other.sums),
      products=_carry(self.products + other.products),
      count=self.count + other.count,
      invalid=self.invalid + other.invalid,
    )

  def sum_over(self, axis_name) -> 'Statistics':
    """Merges those of all devices along an axis of shard_map or pmap."""
    low, half = (1 << _WORD // 2) - 1, _WORD // 2

    def total(words):  # in halves, whose sums do not overflow
      lower = lax.psum(words & low, axis_name)
      upper = lax.psum(words >> half, axis_name)
      upper += lower >> half
      words = [*(lower & low)]
      for i, x in enumerate(upper):
        more = x >> half if i + 1 < _WORDS else jnp.zeros_like(x)
        words[i] += (x - (more << half)) << half
        if i + 1 < _WORDS:
          words[i + 1] += more
      return _carry(jnp.stack(words))

    return self.replace(
      sums=total(self.sums),
      products=total(self.products),
      count=lax.psum(self.count, axis_name),
      invalid=lax.psum(self.invalid, axis_name),
    )

  def moments(self) -> Moments:
    """Returns the moments, from exact differences; outside of jit.

    Raises:
      UserError: there are fewer than two rows, or invalid features.
    """
    host = jax.device_get(self)
    if host.invalid:
      raise UserError(
        f'{host.invalid} features are not finite, or not between '
        f'±{self.limit:g}: a higher limit for Statistics.empty takes those'
      )
    count, unit = int(host.count), self.limit / 2**_BITS
    if count < 2:
      raise UserError(f'{count} images: a covariance takes two or more')
    sums = [words.astype(np.int64) for words in host.sums]
    # The highest word holds nothing but the sign: 2⁶² is the largest sum.
    total = sums[0] + (sums[1] << _WORD) + (sums[2] << 2 * _WORD)
    centre, rest = np.divmod(total, count)
    products = host.products.astype(np.int64)
    _subtract(products, _words(centre, 2), _words(total, 3))
    _subtract(products, _words(rest, 2), _words(centre, 2))
    _carry_in_place(products)
    high = (products[3] << _WORD) + products[2]
    low = (products[1] << _WORD) + products[0]
    centred = high * 2.0 ** (2 * _WORD) + low  # the one rounding
    rest = rest.astype(np.float64)
    centred -= np.outer(rest, rest) / count
    covariance = centred * (unit**2 / (count - 1))
    return Moments((centre + rest / count) * unit, covariance, count)

  def distance(self, other: 'Statistics | Moments') -> float:
    """Returns the Fréchet distance to other features; outside of jit."""
    if isinstance(other, Statistics):
      other = other.moments()
    return frechet.distance(self.moments(), other).value


def _digits(values):
  """Returns int32 [B, D] as float32 [4, B, D], of digits within ±128."""
  digits = []
  for _ in range(_DIGITS - 1):
    low, values = values & 255, values >> _DIGIT
    carry = low >> (_DIGIT - 1)
    digits.append(low - (carry << _DIGIT))
    values += carry
  return jnp.stack([*digits, values]).astype(jnp.float32)


def _products(digits):
  """Returns sums [4, D] and products [7, D, D], int32, by power of 2⁸.

  Args:
    digits: float32 [4, B, D], with B of at most `_ROWS`.
  """
  products = [0] * (2 * _DIGITS - 1)
  for i in range(_DIGITS):
    for j in range(i, _DIGITS):
      product = jnp.einsum(
        *('bi,bj->ij', digits[i], digits[j]),
        precision=lax.Precision.DEFAULT,  # digits fit the fastest
        preferred_element_type=jnp.float32,
      ).astype(jnp.int32)
      both = product if i == j else product + product.T
      products[i + j] += both
  return jnp.sum(digits, 1).astype(jnp.int32), jnp.stack(products)


def _add(words, parts):
  """Adds parts, int32 [K, …] by power of 2⁸, to words."""
  words = list(words)
  for i, part in enumerate(parts):
    at, shift = divmod(_DIGIT * i, _WORD)
    low = part & ((1 << _WORD - shift) - 1)
    words[at] += low << shift
    words[at + 1] += part >> (_WORD - shift)
  return _carry(jnp.stack(words))


def _carry(words):
  """Returns the words within 24 bits, but the highest."""
  words = list(words)
  for i in range(_WORDS - 1):
    words[i + 1] += words[i] >> _WORD
    words[i] &= (1 << _WORD) - 1
  return jnp.stack(words)


def _carry_in_place(words: np.ndarray) -> None:
  for i in range(_WORDS - 1):
    words[i + 1] += words[i] >> _WORD
    words[i] &= (1 << _WORD) - 1


def _words(values: np.ndarray, count: int) -> list[np.ndarray]:
  """Returns int64 as words, the highest with the sign."""
  mask = (1 << _WORD) - 1
  low = [values >> (_WORD * i) & mask for i in range(count - 1)]
  return [*low, values >> (_WORD * (count - 1))]


def _subtract(words: np.ndarray, rows, columns) -> None:
  """Subtracts an outer product from words, int64 [4, D, D], in place."""
  for i, row in enumerate(rows):
    for j, column in enumerate(columns):
      words[i + j] -= np.outer(row, column)

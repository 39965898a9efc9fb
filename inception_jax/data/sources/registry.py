"""Where images come from: `config.data.source` → splits of undecoded records.

A record is {'image': encoded scalar string or raw uint8 [H, W, 1 or 3],
'label': int64 scalar, perhaps 'boxes': float32 [N, 4] in shares of the height
and width, (ymin, xmin, ymax, xmax)}, as TensorFlow tensors. A split is
`Indexed` where any record can be had by its number, `Sequential` where they
come in file order. TensorFlow is imported where it is used: checks answer
before it has loaded.
"""

from collections.abc import Callable
import dataclasses
from typing import Any

from inception_jax.data import splits
from inception_jax.data.sources import cifar
from inception_jax.data.sources import digits as digits_lib
from inception_jax.data.sources import folder
from inception_jax.data.sources import synthetic as synthetic_lib
from inception_jax.data.sources import tfds
from inception_jax.data.sources import tfrecord
from inception_jax.data.splits import Indexed
from inception_jax.data.splits import Sequential


@dataclasses.dataclass(frozen=True)
class _Source:
  """How a source is opened, and what can be said of a config before that."""

  load: Callable[[Any, str], Indexed | Sequential]
  check: Callable[[Any], list[str]]


SOURCES = {
  'digits': _Source(
    digits_lib.load, lambda c: splits.unknown(c, ('train', 'test'))
  ),
  'synthetic': _Source(
    synthetic_lib.load, lambda c: splits.unknown(c, synthetic_lib.SIZES)
  ),
  'folder': _Source(folder.load, folder.check),
  'cifar': _Source(cifar.load, cifar.check),
  'tfrecord': _Source(tfrecord.load, tfrecord.check),
}

_TFDS = _Source(tfds.load, tfds.check)


def load(config, split: str) -> Indexed | Sequential:
  """The split named `split` of `config.data.source`."""
  return _of(config).load(config, split)


def check(config) -> list[str]:
  """Faults of the source and the splits; reads no data, waits on nothing."""
  source = config.data.source
  if source not in SOURCES and not tfds.is_tfds(config):
    known = ', '.join(SOURCES)
    return [f'data.source={source!r}: expected one of {known}, tfds:NAME']
  return _of(config).check(config)


def _of(config) -> _Source:
  return _TFDS if tfds.is_tfds(config) else SOURCES[config.data.source]

"""The sources by name: `config.data.source` → splits of undecoded records.

A record is {'image': encoded scalar string or raw uint8 [H, W, 1 or 3],
'label': int64 scalar, optionally 'boxes': float32 [N, 4] as fractions of the
height and width, (ymin, xmin, ymax, xmax)}, as TensorFlow tensors. A split is
`Indexed` if records can be read by number, `Sequential` if only in file order.
"""

from collections.abc import Callable
import dataclasses
from typing import Any

from inception_jax.data import splits
from inception_jax.data.sources import cifar
from inception_jax.data.sources import digits as digits_lib
from inception_jax.data.sources import folder
from inception_jax.data.sources import huggingface
from inception_jax.data.sources import synthetic as synthetic_lib
from inception_jax.data.sources import tfds
from inception_jax.data.sources import tfrecord
from inception_jax.data.sources import webdataset
from inception_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Source:
  """A source: how to open a split, and how to check a config before that."""

  load: Callable[[Any, str], splits.Split]
  check: Callable[[Any], list[str]]


SOURCES = {
  'digits': Source(
    digits_lib.load, lambda c: splits.check_splits(c, ('train', 'test'))
  ),
  'synthetic': Source(
    synthetic_lib.load, lambda c: splits.check_splits(c, synthetic_lib.SIZES)
  ),
  'folder': Source(folder.load, folder.check),
  'cifar': Source(cifar.load, cifar.check),
  'tfrecord': Source(tfrecord.load, tfrecord.check),
  'huggingface': Source(huggingface.load, huggingface.check),
  'webdataset': Source(webdataset.load, webdataset.check),
}
# Those that `data.val_fraction` can hold out images of.
HOLD_OUT = ('folder', 'huggingface', 'webdataset')
_TFDS = Source(tfds.load, tfds.check)


def load(config, split: str) -> splits.Split:
  """Opens the split named `split` of `config.data.source`."""
  return _of(config).load(config, split)


def check(config) -> list[str]:
  """Returns a message for each mistake in the source and the split names.

  Reads no data and makes no network request.
  """
  source = config.data.source
  if source not in SOURCES and not tfds.is_tfds(config):
    known = ', '.join(SOURCES)
    return [f'data.source={source!r}: expected one of {known}, tfds:NAME']
  try:
    return _of(config).check(config)
  except UserError as error:  # data.dir is in no home folder
    return [f'data.dir={fault}' for fault in error.faults]
  except OSError as error:
    return [f'data.dir={config.data.dir!r} cannot be read: {error}']


def _of(config) -> Source:
  return _TFDS if tfds.is_tfds(config) else SOURCES[config.data.source]

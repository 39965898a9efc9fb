"""The sources by name: `config.data.source` → splits of undecoded records.

A record is {'image': encoded scalar string or raw uint8 [H, W, 1 or 3],
'label': int64 scalar, optionally 'boxes': float32 [N, 4] as fractions of the
height and width, (ymin, xmin, ymax, xmax)}, as TensorFlow tensors. A split is
`Indexed` if records can be read by number, `Sequential` if only in file order.
"""

from collections.abc import Callable
import contextlib
import dataclasses
import logging
from typing import Any

from inception_jax import errors
from inception_jax import inputs
from inception_jax.buckets import bucket
from inception_jax.buckets import urls
from inception_jax.data import splits
from inception_jax.data.remote import mounts
from inception_jax.data.sources import cifar
from inception_jax.data.sources import digits as digits_lib
from inception_jax.data.sources import folder
from inception_jax.data.sources import huggingface
from inception_jax.data.sources import recognition
from inception_jax.data.sources import synthetic as synthetic_lib
from inception_jax.data.sources import tfds
from inception_jax.data.sources import tfds_folders
from inception_jax.data.sources import tfrecord
from inception_jax.data.sources import webdataset
from inception_jax.errors import UserError

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Source:
  """A source.

  Attributes:
    load: opens a split.
    check: checks a config before that.
    recognize: finds its datasets at a path; None: they are not files.
  """

  load: Callable[[Any, str], splits.Split]
  check: Callable[[Any], list[str]]
  recognize: recognition.Recognizer | None = None


SOURCES = {
  'digits': Source(
    digits_lib.load, lambda c: splits.check_splits(c, ('train', 'test'))
  ),
  'synthetic': Source(
    synthetic_lib.load, lambda c: splits.check_splits(c, synthetic_lib.SIZES)
  ),
  'folder': Source(folder.load, folder.check, folder.recognize),
  'cifar': Source(cifar.load, cifar.check, cifar.recognize),
  'tfrecord': Source(tfrecord.load, tfrecord.check, tfrecord.recognize),
  'huggingface': Source(
    huggingface.load, huggingface.check, huggingface.recognize
  ),
  'webdataset': Source(webdataset.load, webdataset.check, webdataset.recognize),
}
_NOT_READ = {'mindrecord': recognition.MINDRECORD}
# Those that `data.val_fraction` can hold out images of.
HOLD_OUT = ('folder', 'huggingface', 'webdataset')
_TFDS = Source(tfds.load, tfds.check, tfds_folders.recognize)
_RECOGNIZERS = {
  name: source.recognize
  for name, source in {**SOURCES, 'tfds:NAME': _TFDS}.items()
  if source.recognize
}


def load(config, split: str) -> splits.Split:
  """Opens the split named `split` of `config.data.source`.

  Raises:
    UserError: from the source; with what else lies in `data.dir`.
  """
  config = mounted(resolve(config))
  try:
    opened = _of(config).load(config, split)
  except UserError as error:
    others = _other_flags(config)
    raise UserError(*map(urls.named, (*error.faults, *others))) from error
  if not mounts.of(config.data.dir):
    return opened
  name = lambda element: urls.named(opened.name(element))
  return dataclasses.replace(opened, name=name)


def check(config) -> list[str]:
  """Returns a message for each mistake in the source and the split names.

  Reads no data; of what is in a bucket, the index or the names.
  """
  source = config.data.source
  if source in _NOT_READ:
    return [f'data.source={source!r}: {_NOT_READ[source]}']
  known = (*SOURCES, recognition.AUTO)
  if source not in known and not tfds.is_tfds(config):
    names = ', '.join(known)
    return [f'data.source={source!r}: expected one of {names}, tfds:NAME']
  if faults := _cannot_reach(config):
    return faults
  try:
    try:
      if source == recognition.AUTO:
        config, _ = _resolved(config)
      config = mounted(config)
    except UserError as error:
      return list(error.faults)
    faults = _of(config).check(config)
  except UserError as error:  # data.dir is in no home folder
    faults = [f'data.dir={fault}' for fault in error.faults]
  except OSError as error:
    faults = [f'data.dir={config.data.dir!r} cannot be read: {error}']
  faults = [*faults, *(_other_flags(config) if faults else ())]
  return list(map(urls.named, faults))


def _cannot_reach(config) -> list[str]:
  """Returns a line if `data.dir` is a URL that the source does not read."""
  source, path = config.data.source, config.data.dir
  if source in SOURCES and not SOURCES[source].recognize:
    return []
  try:
    inputs.check_url(path)
  except UserError as error:
    return [f'data.dir={fault}' for fault in error.faults]
  if tfds.is_tfds(config) and path.startswith('s3://'):
    return [
      f'data.dir={path}: tfds reads gs:// and local folders; copy the data to '
      'a local folder, or mount the bucket as one'
    ]
  if source == 'huggingface' and '://' in path:
    return [
      f'data.dir={path}: huggingface reads local folders; copy the data to '
      'one, or mount the bucket as one'
    ]
  return []


def mounted(config):
  """Returns a config in whose `data.dir` a local path stands for a bucket.

  Raises:
    UserError: the bucket cannot be read, or has nothing there.
  """
  path = config.data.dir
  if tfds.is_tfds(config) or not (
    bucket.is_url(path) and _of(config).recognize
  ):
    return config
  config = config.copy_and_resolve_references()
  config.data.dir = mounts.mount(path).path
  return config


def resolve(config):
  """Returns `config` with the source that data.source='auto' stands for.

  Logs which it is, and why.

  Raises:
    UserError: no dataset is recognized in `data.dir`, or more than one.
  """
  if config.data.source != recognition.AUTO:
    return config
  config, why = _resolved(config)
  log.info(
    'data.source=auto: %s in %s, which has %s',
    *(config.data.source, config.data.dir, errors.printable(why)),
  )
  return config


def name(config) -> str:
  """Returns `config.data.source`, or what 'auto' stands for if it is known."""
  if config.data.source == recognition.AUTO:
    with contextlib.suppress(UserError):
      config, _ = _resolved(config)
  return config.data.source


def _resolved(config) -> tuple[Any, str]:
  path = config.data.dir
  if bucket.is_url(path):
    path = mounts.mount(path).path
  try:
    found = recognition.only(_RECOGNIZERS, path)
  except UserError as error:
    raise UserError(*map(urls.named, error.faults)) from error
  config = config.copy_and_resolve_references()
  config.data.source, config.data.dir = found.source, urls.named(found.dir)
  return config, found.why


def _other_flags(config) -> list[str]:
  if not _of(config).recognize:
    return []
  return recognition.other_flags(
    _RECOGNIZERS.values(), config.data.source, config.data.dir
  )


def _of(config) -> Source:
  return _TFDS if tfds.is_tfds(config) else SOURCES[config.data.source]

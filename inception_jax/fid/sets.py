"""The sets of images that are compared: words, and what is wrong with them."""

from collections.abc import Sequence
import dataclasses
import logging

from inception_jax.data import splits
from inception_jax.errors import UserError
from inception_jax.errors import printable
from inception_jax.fid import arrays
from inception_jax.fid import collected
from inception_jax.fid import modes
from inception_jax.fid import scores
from inception_jax.fid import sources
from inception_jax.fid.extraction import Extracted

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Set:
  """One of the sets.

  Attributes:
    word: that names it.
    fake: whether it is the second one, or a single one that is scored.
    split: its images; None if `word` is a file of statistics.
  """

  word: str
  fake: bool
  split: splits.Split | None


def check(
  words: Sequence[str], metrics: Sequence[str], config, interval: bool
) -> list[str]:
  """Returns what is wrong with the words, before anything slow.

  Args:
    words: the real and the fake set, or a single one.
    metrics: of `collected.METRICS`.
    config: `data.dir` is where SOURCE:SPLIT lies.
    interval: whether an interval of the FID is wanted.
  """
  faults = []
  for word, fake in _sides(words):
    try:
      is_known = arrays.holds_statistics(word)
    except UserError as error:
      faults += error.faults
      continue
    if not is_known:
      faults += sources.cannot_open(word, config)
    elif len(words) == 1:
      faults.append(f'{word} holds statistics: name another set to compare')
    else:
      faults += [
        f'{word} holds statistics; {name} needs the images'
        for name in collected.need_images(metrics, fake, interval)
      ]
  return faults


def load(
  words: Sequence[str],
  metrics: Sequence[str],
  config,
  options: scores.Options,
  num_images: int,
) -> list[Set]:
  """Opens the sets that `check` finds nothing wrong with.

  Args:
    words, metrics, config: as of `check`.
    options: of the scores.
    num_images: the first this many of each set of images; 0: all.

  Raises:
    UserError: they cannot be read, or have fewer images than that, or than a
      metric needs.
  """
  sets, faults = [], []
  for word, fake in _sides(words):
    if arrays.holds_statistics(word):
      sets.append(Set(word, fake, None))
      continue
    try:
      split = sources.load(word, config)
    except UserError as error:
      faults += error.faults
      continue
    if num_images > split.size:
      faults.append(f'--num_images={num_images}: {word} has {split.size}')
    elif num_images:
      split = splits.first(split, num_images)
    least = scores.least_images(metrics, fake, options)
    faults += [
      f'{word}: {name} needs {count} images, not {split.size}'
      for name, count in least.items()
      if split.size < count
    ]
    sets.append(Set(word, fake, split))
  if faults:
    raise UserError(*faults)
  return sets


def warn(word: str, found: Extracted, mode: str) -> None:
  """Logs what is wrong with the images of a set.

  Args:
    word: that names it.
    found: what is known of them.
    mode: one of `modes.MODES`, or ''.
  """
  if len(found.sizes) > 1 and mode and not modes.MODES[mode].mixes_sizes:
    height, width = found.sizes.max(0)
    log.warning(
      '%s has images of %d sizes, up to %d×%d: each was resized by itself, '
      'while %s stops at them',
      *(printable(word), len(found.sizes), width, height),
      modes.MODES[mode].package,
    )


def warn_of_few(word: str, count: int, dimension: int) -> None:
  """Logs that the FID is biased by a set of `count` images, if it is."""
  if 0 < count < dimension:
    log.warning(
      '%s: %d images are fewer than the %d features: their covariance is '
      'singular, and the FID is larger than that of many images; compare it '
      'only with that of as many, or take --metrics=kid,fid_infinity',
      *(printable(word), count, dimension),
    )


def _sides(words: Sequence[str]) -> list[tuple[str, bool]]:
  return [(word, i == len(words) - 1) for i, word in enumerate(words)]

"""Exact evaluation: every image once, at any batch size and device count."""

from collections.abc import Iterator
from collections.abc import Sequence
import logging
from typing import Any
from typing import NamedTuple

import jax
import numpy as np

from inception_jax import metrics
from inception_jax.data import order
from inception_jax.data import pipeline
from inception_jax.data import threads
from inception_jax.data import views
from inception_jax.data.bad_images import BadImages
from inception_jax.distributed import sharding
from inception_jax.errors import UserError
from inception_jax.evaluation import scoring
from inception_jax.evaluation.labels import ImageLabels
from inception_jax.evaluation.members import Member
from inception_jax.runtime import hardware
from inception_jax.runtime import progress_bar

log = logging.getLogger(__name__)


class Evaluation(NamedTuple):
  """What an evaluation returns.

  Attributes:
    scores: 'loss', 'top1', 'top5', 'balanced_accuracy' (see `metrics.means`)
      and 'count', the number of images; those that cannot be decoded or have no
      label do not count.
    batches: for each batch, what `scoring.score` returns, as numpy arrays.
    images_per_sec: throughput after the first batch, which may compile.
  """

  scores: dict[str, float]
  batches: list[dict[str, np.ndarray]]
  images_per_sec: float


class Evaluator:
  """Evaluates networks on one split any number of times; compiles once.

  The probabilities of several networks and views are averaged.
  """

  def __init__(
    self,
    members: Sequence[tuple[Any, Any]],
    split,
    mesh: jax.sharding.Mesh,
    workdir: str = '',
    labels: ImageLabels | None = None,
  ):
    """Prepares the evaluation; reads nothing yet.

    Args:
      members: for each network its resolved config and its module or artifact;
        they share 'batch_size', and may preprocess images differently.
      split: an `Indexed` or `Sequential` split.
      mesh: the devices.
      workdir: gets bad_images.txt; '' for none.
      labels: the correct classes; None: the split's own labels.

    Raises:
      UserError: the split is empty.
    """
    if not split.size:
      data = members[0][0].data
      raise UserError(f'{data.source}: {data.eval_split} has no images')
    self._split, self._mesh = split, mesh
    self._labels = labels or ImageLabels(members[0][1].num_classes)
    self._members = [Member.of(*member, mesh) for member in members]
    # Members with the same preprocessing share the images.
    self._inputs = {member.input: member.config for member in self._members}
    self._bad = {
      key: BadImages(split, config.data, workdir)
      for key, config in self._inputs.items()
    }
    self._kept = {key: {} for key in self._inputs}
    rows, whole = sharding.batch(mesh), sharding.replicated(mesh)
    options = hardware.compiler_options(mesh, members[0][0].deterministic)
    self._add_probabilities = jax.jit(
      scoring.add_probabilities, out_shardings=rows, compiler_options=options
    )
    self._score = jax.jit(
      scoring.score,
      in_shardings=(rows, rows, rows, whole),
      out_shardings=whole,
      compiler_options=options,
    )

  def __call__(self, *variables, before_batch=lambda: None) -> Evaluation:
    """Evaluates every image once.

    Args:
      *variables: of each member.
      before_batch: called before each batch; may raise.
    """
    batch_size = self._batch_size()
    total = order.num_eval_batches(self._split, batch_size)
    batches = self._batches(batch_size)
    batches = progress_bar.track(batches, total, 'evaluating', 'batches')
    expected, scored, clock = 0, [], progress_bar.Clock()
    for i, inputs in enumerate(batches):
      before_batch()
      labels, mask = self._labels_of(i, batch_size, inputs)
      expected += int(mask.sum())
      scores = self._scores(variables, inputs)
      rows = sharding.to_global(self._mesh, {'labels': labels, 'mask': mask})
      scored.append(
        self._score(scores, rows['labels'], rows['mask'], self._labels.allowed)
      )
      # At most one batch ahead, so that they do not accumulate in memory.
      jax.block_until_ready(scored[max(0, i - 1)])
      clock.count(batch_size)
    batches = jax.device_get(scored)
    speed = clock.per_second(self._split.size)
    sums = metrics.add(batches)
    self._check_count(sums, expected)
    self._log_speed(speed, total)
    return Evaluation(metrics.means(sums), batches, speed)

  def reading(self) -> str:
    """Returns how images are read, for the log."""
    datas = [config.data for config in self._inputs.values()]
    image = sum(
      views.pixels(data.eval_protocol, data.image_size) * data.channels
      for data in datas
    )
    rows = sharding.host_rows(self._batch_size())
    return threads.describe(datas[0].workers, len(rows), image)

  def _batch_size(self) -> int:
    # A split smaller than a batch needs no more memory than its images.
    size = min(self._members[0].config.batch_size, self._split.size)
    return sharding.round_up(size, self._mesh)

  def _log_speed(self, speed: float, batches: int) -> None:
    """Logs the throughput, where and in which precision it was reached."""
    log.info(
      'evaluated %d images on %s in %s: %.1f images/s, %s the first batch',
      self._split.size,
      hardware.describe(self._mesh),
      ' and '.join(dict.fromkeys(own.precision for own in self._members)),
      speed,
      'without' if batches > 1 else 'with the compilation of',
    )

  def _batches(self, batch_size: int) -> Iterator[dict[str, dict]]:
    """Yields this process's batches, one for each kind of preprocessing."""
    streams = [
      pipeline.eval_batches(
        self._split,
        config.data,
        batch_size,
        sharding.host_rows(batch_size),
        self._bad[key],
        self._kept[key],
      )
      for key, config in self._inputs.items()
    ]
    for batches in zip(*streams, strict=True):
      yield dict(zip(self._inputs, batches, strict=True))

  def _labels_of(self, number: int, batch_size: int, inputs):
    """Returns the correct classes, int32 [rows, M], and the mask, [rows]."""
    first = next(iter(inputs.values()))
    rows = sharding.host_rows(batch_size)
    positions = number * batch_size + np.arange(rows.start, rows.stop)
    labels, labelled = self._labels(positions, first['label'])
    masks = [batch['mask'] for batch in inputs.values()]
    return labels, np.prod([labelled, *masks], axis=0, dtype=np.float32)

  def _scores(self, variables, inputs) -> jax.Array:
    """Returns logits of a single view; else log of summed probabilities."""
    canvases = {
      key: sharding.to_global(
        self._mesh,
        {k: v for k, v in batch.items() if k not in ('label', 'mask')},
      )
      for key, batch in inputs.items()
    }
    total, single = -np.inf, len(self._members) == 1
    for member, own in zip(self._members, variables, strict=True):
      for logits in member.outputs(own, canvases[member.input]):
        if single and len(member.views) == 1:
          return logits
        # At most one view ahead, since each has images in memory.
        jax.block_until_ready(total)
        total = self._add_probabilities(total, logits)
    return total

  def _num_bad(self) -> int:
    """Returns how many images this process could not decode."""
    return len(set().union(*(bad.substitutes for bad in self._bad.values())))

  def _check_count(self, sums: dict[str, Any], expected: int) -> None:
    """Raises a RuntimeError if any image counts twice or not at all."""
    count = int(sums['count'])
    # Of several processes, each knows only its own bad images.
    single = jax.process_count() == 1
    bad = self._num_bad()
    wrong = sums['class_count'].sum() != count
    wrong |= single and count != expected
    if self._labels.complete:
      skipped = self._split.size - count
      wrong |= skipped < bad or (single and skipped > bad)
      bad = skipped
    if wrong:
      raise RuntimeError(f'{count} images were counted, {expected} expected')
    if bad:
      log.warning(
        '%d of %d images cannot be decoded and are not counted',
        bad,
        self._split.size,
      )

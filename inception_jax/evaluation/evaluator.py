"""Exact evaluation: every image once, at any batch size and device count."""

from collections.abc import Iterator
from collections.abc import Sequence
import logging
import time
from typing import Any

import jax
import numpy as np

from inception_jax import metrics
from inception_jax.data import crops
from inception_jax.data import order
from inception_jax.data import pipeline
from inception_jax.data.bad_images import BadImages
from inception_jax.distributed import sharding
from inception_jax.errors import UserError
from inception_jax.evaluation import scoring
from inception_jax.evaluation.labels import ImageLabels
from inception_jax.runtime import hardware
from inception_jax.runtime import progress_bar

log = logging.getLogger(__name__)

LOG_SECONDS = 5


class Evaluator:
  """Evaluates networks on one split, as often as asked; compiles once.

  Of several networks and several views, the probabilities are averaged.
  """

  def __init__(
    self,
    members: Sequence[tuple[Any, Any]],
    split,
    mesh: jax.sharding.Mesh,
    workdir: str = '',
    between=lambda: None,
    answers: ImageLabels | None = None,
  ):
    """Plans it.

    Args:
      members: a resolved config and the network of each, or its artifact;
        they share 'batch_size', and may prepare the images otherwise.
      split: an `Indexed` or `Sequential` split.
      mesh: the devices.
      workdir: gets bad_images.txt; '' for none.
      between: called before each batch, and may raise.
      answers: what is right; None is the split's own labels.

    Raises:
      UserError: the split is empty.
    """
    if not split.size:
      data = members[0][0].data
      raise UserError(f'{data.source}: {data.eval_split} has no images')
    self._split, self._mesh, self._between = split, mesh, between
    self._answers = answers or ImageLabels(members[0][1].num_classes)
    self._members = [_Member(*member, mesh) for member in members]
    # Members that prepare images alike share them.
    self._inputs = {member.input: member.config for member in self._members}
    self._bad = {
      key: BadImages(split, config, workdir)
      for key, config in self._inputs.items()
    }
    rows, whole = sharding.batch(mesh), sharding.replicated(mesh)
    options = hardware.compiler_options(mesh, members[0][0].deterministic)
    self._blend = jax.jit(
      scoring.add_probabilities, out_shardings=rows, compiler_options=options
    )
    self._score = jax.jit(
      scoring.score,
      in_shardings=(rows, rows, rows, whole),
      out_shardings=whole,
      compiler_options=options,
    )

  def __call__(
    self, *variables, rows: list[dict[str, np.ndarray]] | None = None
  ) -> dict[str, float]:
    """Returns loss, top1, top5 over `count` images.

    Args:
      *variables: of each member.
      rows: gets what `scoring.score` says of the images of each batch.

    Returns:
      `count` is all of them but those that cannot be decoded, and those that
      no answer is known of.
    """
    start = logged = time.perf_counter()
    config = self._members[0].config
    # A small split needs no more memory than it has images.
    most = min(config.batch_size, self._split.size)
    batch_size = sharding.round_up(most, self._mesh)
    total = order.num_eval_batches(self._split, batch_size)
    asked, found = 0, []
    with progress_bar.progress_bar(total, 'evaluating', 'batches') as bar:
      for i, inputs in enumerate(self._batches(batch_size), 1):
        self._between()
        labels, mask = self._labels(i - 1, batch_size, inputs)
        asked += int(mask.sum())
        scores = self._scores(variables, inputs)
        given = sharding.to_global(self._mesh, {'labels': labels, 'mask': mask})
        found.append(
          self._score(
            scores, given['labels'], given['mask'], self._answers.allowed
          )
        )
        # Not further ahead than one batch, or all of them wait in memory.
        jax.block_until_ready(found[max(0, i - 2)])
        bar.update()
        now = time.perf_counter()
        if bar.disable and i < total and now - logged > LOG_SECONDS:
          logged = now
          log.info(
            'evaluated %d of %d batches, %s left',
            i,
            total,
            progress_bar.format_duration((now - start) * (total - i) / i),
          )
    found = jax.device_get(found)
    result = metrics.means(metrics.add(found))
    self._check_count(result['count'], asked)
    if rows is not None:
      rows += found
    return result

  def _batches(self, batch_size: int) -> Iterator[dict[str, dict]]:
    """Batches of this process, by the input that they are made for."""
    streams = [
      pipeline.eval_batches(
        self._split,
        config,
        batch_size,
        sharding.host_rows(batch_size),
        self._bad[key],
      )
      for key, config in self._inputs.items()
    ]
    for batches in zip(*streams, strict=True):
      yield dict(zip(self._inputs, batches, strict=True))

  def _labels(self, number: int, batch_size: int, inputs):
    """What is right: int32 [rows, M], and float32 [rows], whether it counts."""
    first = next(iter(inputs.values()))
    rows = sharding.host_rows(batch_size)
    positions = number * batch_size + np.arange(rows.start, rows.stop)
    labels, known = self._answers(positions, first['label'])
    masks = [batch['mask'] for batch in inputs.values()]
    return labels, np.prod([known, *masks], axis=0, dtype=np.float32)

  def _scores(self, variables, inputs) -> jax.Array:
    """Logits of a single view; else logarithms of summed probabilities."""
    canvases = {
      key: sharding.to_global(
        self._mesh,
        {k: v for k, v in batch.items() if k not in ('label', 'mask')},
      )
      for key, batch in inputs.items()
    }
    total, alone = -np.inf, len(self._members) == 1
    for member, own in zip(self._members, variables, strict=True):
      for logits in member.logits(own, canvases[member.input]):
        if alone and len(member.views) == 1:
          return logits
        # Not more than one view ahead, for they all have images in memory.
        jax.block_until_ready(total)
        total = self._blend(total, logits)
    return total

  def _check_count(self, count: int, asked: int) -> None:
    # Other processes have bad images of their own.
    alone = jax.process_count() == 1
    bad = len(set().union(*(bad.substitutes for bad in self._bad.values())))
    wrong = alone and count != asked
    if self._answers.complete:
      left_out = self._split.size - count
      wrong |= left_out < bad or (alone and left_out > bad)
      bad = left_out
    if wrong:
      raise RuntimeError(f'evaluated {count} images of {self._split.size}')
    if bad:
      log.warning(
        '%d of %d images cannot be decoded and do not count',
        bad,
        self._split.size,
      )


def jit_forward(config, model, mesh: jax.sharding.Mesh):
  """The jitted (variables, uint8 [B, S, S, C]) → logits [B, N]."""
  rows = sharding.batch(mesh)
  return jax.jit(
    scoring.make_forward(config, model),
    in_shardings=(sharding.replicated(mesh), rows),
    out_shardings=rows,
    compiler_options=hardware.compiler_options(mesh, config.deterministic),
  )


class _Member:
  """A network, and how it looks at an image."""

  def __init__(self, config, model, mesh):
    self.config = config
    # By all that decides on what the host makes of an image.
    self.input = config.data.to_json()
    size = config.data.image_size
    self.views = crops.views(config.data.eval_protocol, size)
    if hasattr(model, 'classify'):
      self._forward = scoring.make_artifact_forward(config, model.classify)
    else:
      self._forward = jit_forward(config, model, mesh)
    self._cut = jax.jit(
      scoring.crop_view,
      static_argnames='size',
      out_shardings=sharding.batch(mesh),
    )

  def logits(self, variables, canvases) -> Iterator[jax.Array]:
    """Of each view of a batch."""
    for view in self.views:
      images = canvases[view.canvas]
      if len(self.views) > 1:
        images = self._cut(
          images,
          view.square,
          np.array([view.top, view.left]),
          view.mirrored,
          size=self.config.data.image_size,
        )
      yield self._forward(variables, images)

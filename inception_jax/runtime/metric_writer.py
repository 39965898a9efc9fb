"""Metrics as lines of JSON, and as curves in TensorBoard."""

import logging

from etils import epath
from etils import epy
import jax

from inception_jax import errors
from inception_jax.config import serialization
from inception_jax.metrics import SUMS
from inception_jax.runtime import metrics_file

# Seconds, since it takes TensorFlow: not before there is something to write.
with epy.lazy_imports():
  from clu import metric_writers

log = logging.getLogger(__name__)


class MetricWriter:
  """Writes metrics to `metrics.jsonl` and TensorBoard, on process 0 alone.

  Lines are appended, each once: a training that was killed and repeats the
  steps since its last checkpoint comes to the same numbers. TensorBoard leaves
  out by itself what a file says of steps that a later one repeats.
  """

  def __init__(self, workdir: str, repeats: bool = True, alone: bool = True):
    """Opens what is there.

    Args:
      workdir: of the run.
      repeats: whether steps that are there already come out the same.
      alone: whether no other process writes there; then a last line that was
        cut off is removed.
    """
    self._primary = jax.process_index() == 0
    self._lines = epath.Path(workdir) / metrics_file.NAME
    self._written = set()
    if self._primary:
      if alone:
        metrics_file.truncate_partial_line(self._lines)
      self._written = set(metrics_file.parse(self._lines)) if repeats else set()
      # Asynchronous: training does not wait for a disk.
      self._tensorboard = metric_writers.AsyncWriter(
        metric_writers.SummaryWriter(str(workdir))
      )

  def __enter__(self):
    return self

  def __exit__(self, *_):
    if self._primary:
      self._tensorboard.close()

  def write(self, step: int, split: str, values: dict[str, float]) -> None:
    """Appends a line, and a point on each curve."""
    if not self._primary:
      return
    if (step, split) not in self._written:
      line = serialization.json_line({'step': step, 'split': split, **values})
      try:
        with self._lines.open('a') as file:
          file.write(line + '\n')
      except OSError as error:
        reason = f'{self._lines} cannot be written: {error.strerror}'
        raise errors.RunError(reason) from error
    self._tensorboard.write_scalars(
      step, {f'{split}/{key}': value for key, value in values.items()}
    )

  def curves(self, step: int, values: dict[str, float]) -> None:
    """A point on each curve of TensorBoard alone."""
    if self._primary:
      self._tensorboard.write_scalars(step, values)

  def histograms(self, step: int, arrays: dict[str, jax.Array]) -> None:
    """The distribution of each array's values, in TensorBoard."""
    if self._primary:
      self._tensorboard.write_histograms(step, jax.device_get(arrays))

  def scores(self) -> dict[int, dict[str, float]]:
    """Of each step that was evaluated, by whatever process."""
    return {
      step: {key: values[key] for key in (*SUMS, 'count')}
      for (step, split), values in metrics_file.parse(self._lines).items()
      if split == 'eval'
    }

  def evaluation(
    self, step: int, scores: dict[str, float], raw: bool = False
  ) -> None:
    """Writes an evaluation, and logs it; `raw`: beside that of the average."""
    self.write(step, 'eval_raw' if raw else 'eval', scores)
    log.info(
      'evaluated step %d%s: loss %.4f  top1 %.4f  top5 %.4f  of %d images',
      step,
      ', weights without average' if raw else '',
      *(scores[key] for key in (*SUMS, 'count')),
    )

"""Writes metrics as lines of JSON and as TensorBoard curves."""

from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import logging
from typing import Any

from etils import epath
from etils import epy
import jax

from inception_jax import errors
from inception_jax.config import serialization
from inception_jax.errors import RunError
from inception_jax.runtime import metrics_file
from inception_jax.runtime.process import is_primary

# Imported on first use: it imports TensorFlow, which takes seconds.
with epy.lazy_imports():
  from clu import metric_writers

log = logging.getLogger(__name__)


class MetricWriter(contextlib.ExitStack):
  """Writes metrics to `metrics.jsonl` and TensorBoard, on process 0 only.

  A resumed training repeats the steps since its last checkpoint with the same
  metrics, so each line is appended once. TensorBoard itself drops points of an
  older file whose steps a newer one repeats.

  Each split has TensorBoard events of its own, in the folder of its name: only
  points of one tag and several folders share a chart.
  """

  def __init__(self, workdir: str, skip_written: bool = True):
    """Opens the files, and reads the lines that are already written.

    With `skip_written`, no line is written twice.
    """
    super().__init__()
    self._primary = is_primary()
    self._workdir = epath.Path(workdir)
    self._events: dict[str, Any] = {}
    self._lines = epath.Path(workdir) / metrics_file.NAME
    self._written = set()
    if self._primary:
      metrics_file.end_last_line(self._lines)
      if skip_written:
        self._written = set(metrics_file.parse(self._lines))
      absl = logging.getLogger('absl')
      absl.addFilter(_is_not_asynchronous)
      self.callback(absl.removeFilter, _is_not_asynchronous)

  def write(self, step: int, split: str, values: dict[str, float]) -> None:
    """Appends a line to metrics.jsonl and a point to each TensorBoard curve."""
    if not self._primary:
      return
    if (step, split) not in self._written:
      try:
        metrics_file.append(self._lines, step, split, values)
      except OSError as error:
        reason = f'{self._lines} cannot be written: {error.strerror}'
        raise RunError(reason) from error
    self.write_scalars(step, split, values)

  def write_scalars(
    self, step: int, split: str, values: dict[str, float]
  ) -> None:
    """Appends a point to each TensorBoard curve of a split only."""
    if self._primary:
      with _one_error():
        self._tensorboard(split).write_scalars(step, values)

  def write_histograms(
    self, step: int, split: str, arrays: dict[str, jax.Array]
  ) -> None:
    """Writes a TensorBoard histogram of each array's values."""
    if self._primary:
      values = jax.device_get(arrays)
      with _one_error():
        self._tensorboard(split).write_histograms(step, values)

  def write_hparams(self, config: Mapping) -> None:
    """Writes the config's keys to compare runs by in TensorBoard.

    They are those of the workdir, whose metrics are the last points of its
    splits.
    """
    if self._primary:
      values = {
        key: value if isinstance(value, bool | int | float) else str(value)
        for key, value in serialization.flatten(config)
      }
      with _one_error():
        self._tensorboard('').write_hparams(values)

  def _tensorboard(self, split: str) -> 'metric_writers.MetricWriter':
    """Returns the writer of a split's events, or of the workdir's own ('')."""
    if split not in self._events:
      # Asynchronous, so that training does not wait for the disk.
      writer = metric_writers.AsyncWriter(
        metric_writers.SummaryWriter(str(self._workdir / split))
      )
      self.callback(_one_error()(writer.close))
      self._events[split] = writer
    return self._events[split]

  def scores(self) -> dict[int, dict[str, float]]:
    """Returns the scores of each evaluated step, written by any process."""
    # Earlier versions wrote no balanced accuracy.
    keys = (*metrics_file.SCORES, 'balanced_accuracy')
    return {
      step: {key: values[key] for key in keys if key in values}
      for (step, split), values in metrics_file.parse(self._lines).items()
      if split == metrics_file.EVAL
    }

  def write_evaluation(
    self, step: int, scores: dict[str, float], raw: bool = False
  ) -> None:
    """Writes and logs an evaluation's loss, top1, top5 and count.

    `raw`: of the raw weights, beside that of their moving average.
    """
    self.write(step, 'eval_raw' if raw else metrics_file.EVAL, scores)
    log.info(
      'evaluated step %d%s: loss %.4f  top1 %.4f  top5 %.4f  of %d images',
      *(step, ' (raw weights)' if raw else ''),
      *(scores[key] for key in metrics_file.SCORES),
    )


@contextlib.contextmanager
def _one_error() -> Iterator[None]:
  """For writes, which also raise errors of earlier, asynchronous ones."""
  try:
    yield
  except Exception as error:  # TensorFlow's, in one of clu
    reason = errors.one_line(error)
    raise RunError(f'TensorBoard events cannot be written: {reason}') from error


def _is_not_asynchronous(record: logging.LogRecord) -> bool:
  """Returns whether a log record is no traceback of what is raised as well."""
  return record.module != 'asynclib'

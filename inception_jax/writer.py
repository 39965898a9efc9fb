"""Metrics as lines of JSON, and as curves in TensorBoard."""

import json
import logging

from etils import epath
from etils import epy
import jax

from inception_jax import config as config_lib
from inception_jax.metrics import SUMS

# Seconds, since it takes TensorFlow: not before there is something to write.
with epy.lazy_imports():
  from clu import metric_writers

log = logging.getLogger(__name__)

_NAME = 'metrics.jsonl'


class Writer:
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
    self._lines = epath.Path(workdir) / _NAME
    self._written = set()
    if self._primary:
      if alone:
        _mend(self._lines)
      self._written = set(_parsed(self._lines)) if repeats else set()
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
      line = config_lib.json_line({'step': step, 'split': split, **values})
      try:
        with self._lines.open('a') as file:
          file.write(line + '\n')
      except OSError as error:
        reason = f'{self._lines} cannot be written: {error.strerror}'
        raise config_lib.RunError(reason) from error
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
      for (step, split), values in _parsed(self._lines).items()
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


def _mend(path: epath.Path) -> None:
  """Removes a last line that was cut off."""
  text = path.read_text() if path.exists() else ''
  whole = text[: text.rfind('\n') + 1]
  if whole != text:
    path.write_text(whole)


def _parsed(path: epath.Path) -> dict[tuple[int, str], dict]:
  """The values of each line, by its step and split."""
  found = {_step_and_split(text): text for text in _texts(path)}
  return {key: json.loads(text) for key, text in found.items() if key}


def _texts(path: epath.Path) -> list[str]:
  return path.read_text().splitlines() if path.exists() else []


def lines(workdir: str) -> list[dict]:
  """What metrics.jsonl says, of each step and split once."""
  return list(_parsed(epath.Path(workdir) / _NAME).values())


def bad_lines(workdir: str) -> list[int]:
  """The numbers, from 1, of the lines of metrics.jsonl that are none."""
  texts = _texts(epath.Path(workdir) / _NAME)
  return [i for i, text in enumerate(texts, 1) if not _step_and_split(text)]


def _step_and_split(line: str) -> tuple[int, str] | None:
  try:
    values = json.loads(line)
    return values['step'], values['split']
  except (ValueError, KeyError, TypeError):
    return None

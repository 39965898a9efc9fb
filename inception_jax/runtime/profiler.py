"""Traces training steps for TensorBoard's profiler and Perfetto."""

import contextlib
import logging
import tempfile

from etils import epath
import jax

from inception_jax.runtime.process import is_primary

log = logging.getLogger(__name__)


class Profiler:
  """Traces some steps on process 0; a failure to do so is only a warning."""

  def __init__(self, workdir: str, first_step: int, num_steps: int):
    """Plans a trace in `workdir`/plugins/profile; 0 steps: no trace."""
    self._workdir = epath.Path(workdir)
    self._first, self._end = first_step, first_step + num_steps
    self._waiting = num_steps > 0 and is_primary()
    self._trace = contextlib.ExitStack()
    self._annotation = contextlib.ExitStack()
    self._tracing = False

  def __enter__(self):
    return self

  def __exit__(self, *_):
    if self._tracing:
      self._stop()
    elif self._waiting:
      log.warning('no trace: the training ended before step %d', self._first)

  def step(self, step: int) -> None:
    """Starts or stops the trace; to be called before `step` is dispatched."""
    self._annotation.close()
    if self._waiting and step >= self._first:
      self._waiting = False
      with _errors_as_warnings():
        self._trace.enter_context(self._write_trace())
        self._tracing = True
    elif self._tracing and step >= self._end:
      self._stop()
    if self._tracing:
      self._annotation.enter_context(
        jax.profiler.StepTraceAnnotation('train', step_num=step)
      )

  def _stop(self) -> None:
    self._annotation.close()
    self._tracing = False
    with _errors_as_warnings():
      self._trace.close()

  @contextlib.contextmanager
  def _write_trace(self):
    # The workdir may be a bucket, to which the profiler cannot write.
    with tempfile.TemporaryDirectory(prefix='trace-') as folder:
      # Waits for dispatched steps, so that the trace has whole steps only.
      jax.block_until_ready(jax.live_arrays())
      with jax.profiler.trace(folder, create_perfetto_trace=True):
        log.info('tracing steps %d to %d', self._first, self._end - 1)
        yield
        jax.block_until_ready(jax.live_arrays())
      (trace,) = epath.Path(folder).glob('plugins/profile/*')
      target = self._workdir / trace.relative_to(folder)
      target.mkdir(parents=True, exist_ok=True)
      for file in trace.iterdir():
        file.copy(target / file.name)
    log.info(
      'wrote a trace to %s: run tensorboard --logdir=%s (pip install xprof) or '
      'open its perfetto_trace.json.gz at ui.perfetto.dev',
      *(target, self._workdir),
    )


@contextlib.contextmanager
def _errors_as_warnings():
  try:
    yield
  except (OSError, RuntimeError, ValueError) as error:
    log.warning('no trace: %s', error)

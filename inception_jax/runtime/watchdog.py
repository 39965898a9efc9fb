"""Ends a hanging training, with the stack of every thread.

faulthandler.dump_traceback_later would not do: it exits with status 1, which is
not restarted, and cannot name the process that hangs.
"""

import contextlib
import faulthandler
import logging
import os
import platform
import sys
import threading
import time

from inception_jax.runtime.process import exit_now

log = logging.getLogger(__name__)

STATUS = 70  # EX_SOFTWARE of sysexits.h
HEARTBEAT_SECONDS = 10.0
_MISSED_HEARTBEATS = 3


class Watchdog:
  """Ends the process if `step_done` is not called for some minutes.

  Each of several processes writes a heartbeat to the shared workdir, so that
  the process that ends can name those that hang.
  """

  def __init__(
    self, minutes: float, workdir: str = '', index: int = 0, count: int = 1
  ):
    """Creates a watchdog for one of several processes; `watching` starts it.

    The process ends after `minutes` without a step, or never if they are 0.
    """
    self._seconds = 60 * minutes
    self._index, self._count = index, count
    self._folder = os.path.join(workdir, 'processes')
    self._over = threading.Event()
    self._steps = 0
    self.step_done()

  def step_done(self) -> None:
    """Restarts the countdown."""
    self._last = time.monotonic()
    self._steps += 1

  @contextlib.contextmanager
  def watching(self):
    """Watches for the duration of the block."""
    if not self._seconds:
      yield self
      return
    self.step_done()
    thread = threading.Thread(target=self._watch, daemon=True)
    thread.start()
    try:
      yield self
    finally:
      self._over.set()
      thread.join()

  def _watch(self) -> None:
    while True:
      if self._count > 1:
        self._write_heartbeat()
      left = self._last + self._seconds - time.monotonic()
      if left <= 0:
        break
      if self._over.wait(min(left, HEARTBEAT_SECONDS)):
        return
    faulthandler.dump_traceback(file=sys.stderr, all_threads=True)
    faults = []
    if self._count > 1:
      faults.append(self._late_processes())
      # The others end with this one; let them print their stacks first.
      time.sleep(HEARTBEAT_SECONDS)
    exit_now(
      STATUS,
      *faults,
      f'no step was finished in {self._seconds / 60:g} minutes '
      "(--config.watchdog_minutes); each thread's stack is above. The same "
      'command resumes from the last checkpoint',
    )

  def _write_heartbeat(self) -> None:
    try:
      os.makedirs(self._folder, exist_ok=True)
      with open(os.path.join(self._folder, str(self._index)), 'w') as file:
        file.write(f'{self._steps} on {platform.node()}')
    except OSError as error:
      log.warning('no heartbeat in %s: %s', self._folder, error.strerror)

  def _late_processes(self) -> str:
    """Describes the processes that have no recent heartbeat or are behind."""
    heartbeats = {}
    for i in range(self._count):
      path = os.path.join(self._folder, str(i))
      # Times of the file system, since the clocks of hosts may differ.
      with contextlib.suppress(OSError, ValueError), open(path) as file:
        steps, _, host = file.read().partition(' on ')
        heartbeats[i] = (os.stat(path).st_mtime, int(steps), host)
    if not heartbeats:
      return f'no process has written a heartbeat to {self._folder}'
    newest = max(modified for modified, _, _ in heartbeats.values())
    furthest = max(steps for _, steps, _ in heartbeats.values())
    late = []
    for i in range(self._count):
      if i not in heartbeats:
        late.append(f'process {i} never started')
        continue
      modified, steps, host = heartbeats[i]
      age = newest - modified
      if age > _MISSED_HEARTBEATS * HEARTBEAT_SECONDS:
        late.append(f'process {i} on {host}: last heartbeat {age:.0f} s ago')
      elif steps < furthest:
        late.append(f'process {i} on {host} is {furthest - steps} steps behind')
    return '; '.join(late) or 'all processes are alive, and none is behind'

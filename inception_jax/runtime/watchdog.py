"""Ends a training that hangs, and shows where it does."""

import contextlib
import faulthandler
import logging
import os
import platform
import sys
import threading
import time

log = logging.getLogger(__name__)

STATUS = 70  # EX_SOFTWARE of sysexits.h

BEAT_SECONDS = 10.0

_MISSED_BEATS = 3

_FOLDER = 'processes'


class Watchdog:
  """Wants to be told of every step; ends the process if it is not.

  Of several processes that share a workdir, each leaves a sign of life there,
  so that whichever ends can tell which of the others is missing.
  """

  def __init__(
    self,
    minutes: float,
    workdir: str = '',
    process: int = 0,
    processes: int = 1,
  ):
    """Watches nothing yet.

    Args:
      minutes: without a step that end the process; 0: it waits for ever.
      workdir: of the run; needed with several processes.
      process: which of them this is.
      processes: how many there are.
    """
    self._seconds = 60 * minutes
    self._process, self._processes = process, processes
    self._folder = os.path.join(workdir, _FOLDER)
    self._over = threading.Event()
    self._steps = 0
    self.step_done()

  def step_done(self) -> None:
    """Tells it that the training still moves."""
    self._last = time.monotonic()
    self._steps += 1

  @contextlib.contextmanager
  def watching(self):
    """Watches until the block ends."""
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
      if self._processes > 1:
        self._beat()
      left = self._last + self._seconds - time.monotonic()
      if left <= 0:
        break
      if self._over.wait(min(left, BEAT_SECONDS)):
        return
    # Where each thread is, the one that hangs among them.
    faulthandler.dump_traceback(file=sys.stderr, all_threads=True)
    if self._processes > 1:
      print(f'error: {self._missing()}', file=sys.stderr)
    print(
      f'error: no step was finished in {self._seconds / 60:g} minutes '
      '(--config.watchdog_minutes); above is where each thread was. The same '
      'command goes on from the last checkpoint',
      file=sys.stderr,
      flush=True,
    )
    if self._processes > 1:
      # The others end with this one, and are about to say where they are.
      time.sleep(BEAT_SECONDS)
    os._exit(STATUS)

  def _beat(self) -> None:
    try:
      os.makedirs(self._folder, exist_ok=True)
      with open(os.path.join(self._folder, str(self._process)), 'w') as file:
        file.write(f'{self._steps} on {platform.node()}')
    except OSError as error:
      log.warning('no sign of life in %s: %s', self._folder, error.strerror)

  def _missing(self) -> str:
    """Which processes have given no sign of life, or are behind."""
    signs = {}
    for i in range(self._processes):
      path = os.path.join(self._folder, str(i))
      # The times are those of one file system, whatever the hosts' clocks say.
      with contextlib.suppress(OSError, ValueError), open(path) as file:
        steps, _, host = file.read().partition(' on ')
        signs[i] = (os.stat(path).st_mtime, int(steps), host)
    if not signs:
      return f'no process has left a sign of life in {self._folder}'
    newest = max(when for when, _, _ in signs.values())
    furthest = max(steps for _, steps, _ in signs.values())
    says = []
    for i in range(self._processes):
      if i not in signs:
        says.append(f'process {i} never began')
        continue
      when, steps, host = signs[i]
      if newest - when > _MISSED_BEATS * BEAT_SECONDS:
        silent = f'{newest - when:.0f} s'
        says.append(f'process {i} on {host} has been silent for {silent}')
      elif steps < furthest:
        says.append(f'process {i} on {host} is {furthest - steps} steps behind')
    return '; '.join(says) or 'all processes live, and none is behind'

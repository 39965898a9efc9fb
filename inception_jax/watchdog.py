"""Ends a training that hangs, and shows where it does."""

import contextlib
import faulthandler
import os
import sys
import threading
import time

STATUS = 70  # EX_SOFTWARE of sysexits.h


class Watchdog:
  """Wants to be told of every step; ends the process if it is not."""

  def __init__(self, minutes: float):
    """`minutes` without a step end the process; 0: it waits for ever."""
    self._seconds = 60 * minutes
    self._over = threading.Event()
    self.step_done()

  def step_done(self) -> None:
    """Tells it that the training still moves."""
    self._last = time.monotonic()

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
      left = self._last + self._seconds - time.monotonic()
      if left <= 0:
        break
      if self._over.wait(left):
        return
    # Where each thread is, the one that hangs among them.
    faulthandler.dump_traceback(file=sys.stderr, all_threads=True)
    print(
      f'error: no step was finished in {self._seconds / 60:g} minutes '
      '(--config.watchdog_minutes); above is where each thread was. The same '
      'command goes on from the last checkpoint',
      file=sys.stderr,
      flush=True,
    )
    os._exit(STATUS)

"""Preemption by SIGTERM or SIGINT: the first saves and exits, the second exits.

Python runs a signal handler between two bytecodes of the main thread, which may
be minutes away while XLA compiles. The interpreter writes to its wake-up file
descriptor immediately, so a thread that reads it handles the signals.
"""

import logging
import os
import signal
import threading

from inception_jax.runtime.process import exit_now

log = logging.getLogger(__name__)

# EX_TEMPFAIL of sysexits.h, "try again later": schedulers requeue on it.
STATUS = 75
SIGNALS = (signal.SIGTERM, signal.SIGINT)

_stop = threading.Event()
_in_loop = threading.Event()


class Preempted(Exception):
  """A signal stopped the training after it saved its state; exit status 75."""


def install() -> None:
  """Starts handling signals; until `defer_signals`, one exits immediately.

  Must be called once, in the main thread.
  """
  reading, writing = os.pipe()
  os.set_blocking(writing, False)
  signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
  for number in SIGNALS:
    signal.signal(number, lambda *_: None)
  threading.Thread(target=_listen, args=(reading,), daemon=True).start()


def defer_signals() -> None:
  """Makes the first signal a request, since there is a state to save now."""
  _in_loop.set()


def requested() -> bool:
  """Returns whether the training should save and exit."""
  return _stop.is_set()


def _listen(reading: int) -> None:
  while True:
    for number in os.read(reading, 64):
      if number in SIGNALS:
        _receive(signal.Signals(number))


def _receive(number: signal.Signals) -> None:
  if requested():
    exit_now(128 + number, f'second {number.name}: exiting without saving')
  if not _in_loop.is_set():
    exit_now(STATUS, f'{number.name} before the first step: nothing to save')
  log.warning(
    '%s: saving after this step, then exiting; a second one exits at once',
    number.name,
  )
  _stop.set()

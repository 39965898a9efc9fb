"""Preemption by a signal: one request saves and exits, two exit.

SIGHUP is that of a terminal or an ssh connection that ended, unless nohup
ignores it.

Python runs a signal handler between two bytecodes of the main thread, which may
be minutes away while XLA compiles. The interpreter writes to its wake-up file
descriptor immediately, so a thread that reads it handles the signals.

`timeout`, srun and `tini -g` signal both a process and its group, so several
signals within moments are one request.
"""

import logging
import os
import signal
import threading
import time

from inception_jax.runtime.process import exit_now

log = logging.getLogger(__name__)

# EX_TEMPFAIL of sysexits.h, "try again later": schedulers requeue on it.
STATUS = 75
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# Seconds from the first signal, in which further ones are the same request.
SAME_REQUEST = 2.0

_stop = threading.Event()
_in_loop = threading.Event()


class Preempted(Exception):
  """A signal stopped the training after it saved its state; exit status 75."""


class ProcessLost(Exception):
  """Another process of the run did not come, or ended; exit status 75."""


def install() -> None:
  """Starts handling signals; until `defer_signals`, one exits immediately.

  Must be called once, in the main thread.
  """
  reading, writing = os.pipe()
  os.set_blocking(writing, False)
  signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
  for number in SIGNALS:
    ignored = signal.getsignal(number) is signal.SIG_IGN
    if not (number is signal.SIGHUP and ignored):
      signal.signal(number, lambda *_: None)
  threading.Thread(target=_listen, args=(reading,), daemon=True).start()


def defer_signals() -> None:
  """Makes the first signal a request, since there is a state to save now."""
  _in_loop.set()


def requested() -> bool:
  """Returns whether the training should save and exit."""
  return _stop.is_set()


def _listen(reading: int) -> None:
  first = None
  while True:
    numbers = os.read(reading, 64)
    # Signals that were read together cannot be told apart in time.
    now = time.monotonic()
    for number in numbers:
      if number in SIGNALS:
        first = now if first is None else first
        _receive(signal.Signals(number), now - first)


def _receive(number: signal.Signals, after: float) -> None:
  """Handles a signal that came `after` seconds after the first."""
  if after > SAME_REQUEST:
    exit_now(128 + number, f'second {number.name}: exiting without saving')
  if not _in_loop.is_set():
    exit_now(STATUS, f'{number.name} before the first step: nothing to save')
  if not requested():
    _stop.set()
    log.warning(
      '%s: saving after this step, then exiting; another one, more than %g s '
      'later, exits at once',
      *(number.name, SAME_REQUEST),
    )

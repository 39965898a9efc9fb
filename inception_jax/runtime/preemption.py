"""SIGTERM and SIGINT: a training saves and ends; a second one ends it at once.

One mechanism for every moment. Python runs a signal's handler between two
bytecodes of the main thread, which may be minutes away while XLA compiles. The
interpreter's wake-up descriptor is written to at once, and a thread reads it.
"""

import logging
import os
import signal
import sys
import threading

log = logging.getLogger(__name__)

# EX_TEMPFAIL of sysexits.h, "try again later": what a scheduler requeues on.
STATUS = 75

SIGNALS = (signal.SIGTERM, signal.SIGINT)

_stop = threading.Event()

_in_loop = threading.Event()


class Preempted(Exception):
  """A training that was asked to end, and has saved all it did; exit 75."""


def install() -> None:
  """Listens from now on; until `begin`, a signal ends the process at once.

  Called once, by the main thread.
  """
  reading, writing = os.pipe()
  os.set_blocking(writing, False)
  signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
  for number in SIGNALS:
    signal.signal(number, lambda *_: None)
  thread = threading.Thread(target=_listen, args=(reading,), daemon=True)
  thread.start()


def defer_signals() -> None:
  """From here on there is something to save: a signal only asks."""
  _in_loop.set()


def requested() -> bool:
  """Whether this training is to save and end."""
  return _stop.is_set()


def reset() -> None:
  """As before the first signal and `begin`."""
  _stop.clear()
  _in_loop.clear()


def _listen(reading: int) -> None:
  while True:
    for number in os.read(reading, 64):
      if number in SIGNALS:
        _receive(signal.Signals(number))


def _receive(number: signal.Signals) -> None:
  if requested():
    _exit(f'{number.name} again: ending at once', 128 + number)
  if not _in_loop.is_set():
    _exit(f'{number.name} before the first step: nothing to save', STATUS)
  log.warning(
    '%s: saving after this step, then ending; again ends at once', number.name
  )
  _stop.set()


def _exit(says: str, status: int) -> None:
  print(f'error: {says}', file=sys.stderr, flush=True)
  os._exit(status)

"""Processes forked from a server that has imported the libraries.

Each takes five to ten seconds of CPU time less than one that imports them.
"""

import contextlib
import multiprocessing
from multiprocessing.connection import Connection
import os
import signal
import subprocess
import sys
import threading


class Fork:
  """Calls a function in a process, with the interface of subprocess.Popen.

  Attributes:
    stdin: text file that the process reads, or None.
    stdout: text file of what it writes.
    stderr: likewise, or None.
  """

  def __init__(self, function, *args, stdin=False, stderr=None):
    """Starts.

    Args:
      function: a module's function.
      *args: its arguments, which can be pickled.
      stdin: whether the process reads `self.stdin`.
      stderr: file descriptor that it writes to in place of `self.stderr`.
    """
    self.stdin = self.stderr = None
    theirs = {}
    if stdin:
      theirs[0], ours = os.pipe()
      self.stdin = open(ours, 'w')
    ours, theirs[1] = os.pipe()
    self.stdout = open(ours)
    if stderr is None:
      ours, theirs[2] = os.pipe()
      self.stderr = open(ours)
    else:
      theirs[2] = os.dup(stderr)
    # Connections are what multiprocessing passes to a process.
    theirs = {
      number: Connection(descriptor, readable=not number, writable=number > 0)
      for number, descriptor in theirs.items()
    }
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload([f'{__package__}.preloaded'])
    self._process = context.Process(
      target=_call, args=(theirs, function, *args), daemon=False
    )
    self._process.start()
    self.pid = self._process.pid
    for connection in theirs.values():
      connection.close()

  @property
  def returncode(self) -> int | None:
    """The exit status, the negative number of a signal, or None."""
    return self._process.exitcode

  def poll(self) -> int | None:
    return self.returncode

  def wait(self, timeout: float | None = None) -> int:
    self._process.join(timeout)
    if self.returncode is None:
      raise subprocess.TimeoutExpired(self._process.name, timeout)
    return self.returncode

  def communicate(self, timeout: float | None = None) -> tuple[str, str]:
    """Waits; returns the rest of stdout and stderr."""
    texts = {}

    def read(file):
      texts[file] = file.read()

    files = [file for file in (self.stdout, self.stderr) if file]
    threads = [threading.Thread(target=read, args=(f,)) for f in files]
    for thread in threads:
      thread.start()
    try:
      self.wait(timeout)
    except BaseException:
      self.kill()
      raise
    finally:
      for thread in threads:
        thread.join()
      self.end()
    return texts[self.stdout], texts.get(self.stderr, '')

  def send_signal(self, number: int) -> None:
    if self.poll() is None:
      os.kill(self.pid, number)

  def kill(self) -> None:
    self.send_signal(signal.SIGKILL)

  def end(self) -> None:
    """Kills the process, if it still runs, and closes the files."""
    self.kill()
    for file in filter(None, (self.stdin, self.stdout, self.stderr)):
      with contextlib.suppress(BrokenPipeError):  # stdin that was not read
        file.close()


def _call(streams, function, *args):
  for number, connection in streams.items():
    os.dup2(connection.fileno(), number)
    connection.close()
  if 0 in streams:
    sys.stdin = open(0, closefd=False)
  for number, stream in ((1, sys.stdout), (2, sys.stderr)):
    stream.reconfigure(line_buffering=True)
    assert stream.fileno() == number
  function(*args)

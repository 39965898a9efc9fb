"""Ends of processes whose output nobody reads, or that have no output."""

import os
import subprocess
import sys

import pytest

from tests.support.commands import ROOT

_PREAMBLE = """
import threading
import time

from inception_jax.errors import UserError
from inception_jax.runtime import cli
from inception_jax.runtime import watchdog
from inception_jax.runtime.process import exit_now
"""


def run(code, first=(), **streams):
  """Runs a program, by another one; returns its status, stdout and stderr."""
  done = subprocess.run(
    [*first, sys.executable, '-c', _PREAMBLE + code],
    cwd=ROOT,
    text=True,
    timeout=100,
    **streams,
  )
  return done.returncode, done.stdout, done.stderr


@pytest.fixture
def unread():
  """The writing end of a pipe that nobody reads."""
  reading, writing = os.pipe()
  os.close(reading)
  yield writing
  os.close(writing)


@pytest.mark.parametrize(
  ('status', 'code'),
  [
    (75, "exit_now(75, 'lost a process')"),
    (70, 'watchdog.Watchdog(1e-9)._watch()'),
  ],
)
def test_a_thread_ends_the_process_though_nobody_reads_stderr(
  status, code, unread
):
  wait = f'threading.Thread(target=lambda: {code}).start()\ntime.sleep(10)'
  assert run(wait, stderr=unread)[0] == status


def test_a_closed_stdout_is_an_error_of_one_line(unread):
  code = "cli.run(lambda: {'top1': 1.0})"
  status, _, errors = run(code, stdout=unread, stderr=subprocess.PIPE)
  assert (status, errors) == (1, 'error: the reader of stdout has ended\n')


def test_an_interrupted_command_prints_no_traceback():
  code = """
def command():
  raise KeyboardInterrupt

cli.run(command)
"""
  status, _, errors = run(code, stderr=subprocess.PIPE)
  assert (status, errors) == (130, 'error: interrupted\n')


def test_nothing_is_printed_into_a_file_where_streams_are_closed(tmp_path):
  path = tmp_path / 'file'
  code = f"""
def command():
  with open({str(path)!r}, 'w') as file:
    for descriptor in range(3):
      os.write(descriptor, b'printed')
    file.write('content')
  raise UserError('a fault')

cli.run(command)
"""
  closed = ('sh', '-c', 'exec "$@" <&- >&- 2>&-', 'sh')
  assert run(f'import os\n{code}', closed)[0] == 2
  assert path.read_text() == 'content'

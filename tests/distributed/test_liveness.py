"""Whose end ends whom, with which status, and what is said of it."""

import contextlib
import itertools
import socket
import threading

import pytest

from inception_jax.distributed import liveness
from inception_jax.distributed.connection import Connection
from inception_jax.errors import UserError
from inception_jax.runtime.preemption import Preempted

GONE = 'process 1 on b has gone without a word'


def pair(ours, theirs):
  """Both ends of a line; each names the other."""
  with socket.create_server(('localhost', 0)) as server:
    a = socket.create_connection(server.getsockname())
    # A client of another test may still look for what had this port before.
    while (end := server.accept())[1] != a.getsockname():
      end[0].close()
    b, _ = end
  return Connection(a, theirs, 10.0), Connection(b, ours, 10.0)


class Network:
  """Process 0 with lines to processes 1 and 2, who have one to it."""

  def __init__(self):
    first = pair('process 0 on a', 'process 1 on b')
    second = pair('process 0 on a', 'process 2 on c')
    self.lines = [[first[0], second[0]], [first[1]], [second[1]]]

  def watched(self, i):
    me = f'process {i} on {"abc"[i]}'
    return liveness.watch_peers(me, self.lines[i], leads=not i)


@pytest.fixture
def network():
  found = Network()
  yield found
  for line in itertools.chain(*found.lines):
    line.close()


# A thread that raises SystemExit ends in silence, but for pytest.
ends_a_thread = pytest.mark.filterwarnings(
  'ignore::pytest.PytestUnhandledThreadExceptionWarning'
)


@pytest.fixture
def ended(monkeypatch):
  """Statuses that a process would have ended with, as they come."""
  found, threads, news = [], [], threading.Condition()

  def end(status):
    with news:
      found.append(status)
      threads.append(threading.current_thread())
      news.notify_all()
    raise SystemExit  # of the thread

  monkeypatch.setattr(liveness.os, '_exit', end)

  def wait(count):
    with news:
      assert news.wait_for(lambda: len(found) >= count, timeout=10)
    # What pytest says of a thread's end would be the next test's otherwise.
    for thread in threads:
      thread.join(10)
      assert not thread.is_alive()
    return found

  return wait


@ends_a_thread
def test_the_reason_and_the_status_reach_all(network, ended, capfd):
  with contextlib.ExitStack() as stack:
    for i in (0, 2):
      stack.enter_context(network.watched(i))
    with pytest.raises(UserError), network.watched(1):
      raise UserError('no such folder', 'no such class')
    assert ended(2) == [2, 2]
  # Lines of two threads may mix.
  why = 'error: process 1 on b ended: no such folder; no such class'
  assert capfd.readouterr().err.count(why) == 2


@ends_a_thread
def test_one_that_vanishes_is_named_to_all(network, ended, capfd):
  with network.watched(0), network.watched(2):
    (line,) = network.lines[1]
    line.close()
    assert ended(2) == [75, 75]
  assert capfd.readouterr().err.count(f'error: {GONE}') == 2


@pytest.mark.parametrize(
  'how', [None, Preempted('step 3 of 8'), liveness.SharedUserError]
)
def test_others_stay_until_process_0_has_saved(network, ended, how):
  saved = []

  def other(i):
    with contextlib.suppress(Preempted, UserError), network.watched(i):
      if how:
        raise how
    assert saved

  left = [threading.Thread(target=other, args=(i,)) for i in (1, 2)]
  with contextlib.suppress(Preempted, UserError), network.watched(0):
    for thread in left:
      thread.start()
      thread.join(0.2)
      assert thread.is_alive()
    saved.append(True)
    if how:
      raise how
  for thread in left:
    thread.join(10)
    assert not thread.is_alive()
  assert ended(0) == []

"""The end of one process ends the others, with its status and its error."""

from concurrent import futures
import contextlib
import itertools
import socket
import threading
import time

import pytest

from inception_jax.distributed import liveness
from inception_jax.distributed.connection import Connection
from inception_jax.errors import UserError
from inception_jax.runtime.preemption import Preempted

LOST = 'lost process 1 on b'


def pair(ours, theirs):
  """Both ends of a connection; each has the other's name as its peer."""
  with socket.create_server(('localhost', 0)) as server:
    a = socket.create_connection(server.getsockname())
    # A client of an earlier test may still try to connect to this port.
    while (accepted := server.accept())[1] != a.getsockname():
      accepted[0].close()
    b, _ = accepted
  return Connection(a, theirs), Connection(b, ours)


class Network:
  """Process 0 connected to processes 1 and 2."""

  def __init__(self):
    first = pair('process 0 on a', 'process 1 on b')
    second = pair('process 0 on a', 'process 2 on c')
    self.connections = [[first[0], second[0]], [first[1]], [second[1]]]

  def watched(self, i):
    name = f'process {i} on {"abc"[i]}'
    return liveness.watch_peers(name, self.connections[i], is_primary=not i)


@pytest.fixture
def network():
  network = Network()
  yield network
  for connection in itertools.chain(*network.connections):
    connection.close()


# Only pytest reports a thread that ends with SystemExit.
ends_a_thread = pytest.mark.filterwarnings(
  'ignore::pytest.PytestUnhandledThreadExceptionWarning'
)


@pytest.fixture
def ended(monkeypatch):
  """Waits for a number of calls of os._exit, and returns their statuses."""
  statuses, threads, changed = [], [], threading.Condition()

  def exit_thread(status):
    with changed:
      statuses.append(status)
      threads.append(threading.current_thread())
      changed.notify_all()
    raise SystemExit

  monkeypatch.setattr('os._exit', exit_thread)

  def wait(count):
    with changed:
      assert changed.wait_for(lambda: len(statuses) >= count, timeout=10)
    # Otherwise pytest would report the end of a thread in the next test.
    for thread in threads:
      thread.join(10)
      assert not thread.is_alive()
    return statuses

  return wait


@ends_a_thread
def test_error_and_status_reach_every_process(network, ended, capfd):
  with contextlib.ExitStack() as stack:
    for i in (0, 2):
      stack.enter_context(network.watched(i))
    with pytest.raises(UserError), network.watched(1):
      raise UserError('no such folder', 'no such class')
    assert ended(2) == [2, 2]
  # The lines of two threads may mix.
  reason = 'error: process 1 on b ended: no such folder; no such class'
  assert capfd.readouterr().err.count(reason) == 2


@ends_a_thread
def test_every_process_reports_one_that_vanished(network, ended, capfd):
  with network.watched(0), network.watched(2):
    (connection,) = network.connections[1]
    connection.close()
    assert ended(2) == [75, 75]
  assert capfd.readouterr().err.count(f'error: {LOST}') == 2


@pytest.fixture
def fast(monkeypatch):
  """Heartbeats that do not take seconds; returns how long none may come."""
  monkeypatch.setattr(liveness, 'HEARTBEAT_SECONDS', 0.05)
  return 0.05 * liveness.MISSED_HEARTBEATS


@ends_a_thread
def test_every_process_reports_one_that_is_frozen(network, fast, ended, capfd):
  with network.watched(0), network.watched(2):
    assert ended(2) == [75, 75]
  reason = f'error: {LOST}: it is frozen, or its host or the network is down'
  assert capfd.readouterr().err.count(reason) == 2


def test_processes_that_compute_for_long_go_on(network, fast, ended):
  # Process 0 ends first, as the others wait for it.
  with network.watched(1), network.watched(2), network.watched(0):
    time.sleep(3 * fast)
    assert ended(0) == []


@ends_a_thread
def test_frozen_process_0_ends_those_that_wait_for_it(network, fast, ended):
  with network.watched(1):
    pass
  assert ended(1) == [75]


@ends_a_thread
@pytest.mark.parametrize(
  'message',
  [
    {'status': 1},
    {'status': 256, 'reason': ''},
    {'status': [1], 'reason': ''},
    {'status': None, 'reason': ''},
  ],
  ids=str,
)
def test_message_of_no_process_counts_as_its_loss(network, ended, message):
  with network.watched(0):
    network.connections[1][0].send(**message)
    assert ended(1) == [75]


@ends_a_thread
def test_reason_is_one_line_of_text(network, ended, capfd):
  with network.watched(0):
    with pytest.raises(UserError), network.watched(1):
      raise UserError('a\nerror: b \x1b[31m' + 5000 * 'c')
    assert ended(1) == [2]
  (line,) = capfd.readouterr().err.splitlines()
  assert line.startswith(r'error: process 1 on b ended: a\nerror: b \x1b[31mc')
  assert len(line) < 2100


@pytest.mark.parametrize(
  'error', [None, Preempted('step 3 of 8'), liveness.SharedUserError]
)
def test_others_wait_until_process_0_has_saved(network, ended, error):
  saved = []

  def other(i):
    with contextlib.suppress(Preempted, UserError), network.watched(i):
      if error:
        raise error
    assert saved

  others = [threading.Thread(target=other, args=(i,)) for i in (1, 2)]
  with contextlib.suppress(Preempted, UserError), network.watched(0):
    for thread in others:
      thread.start()
      thread.join(0.2)
      assert thread.is_alive()
    saved.append(True)
    if error:
      raise error
  for thread in others:
    thread.join(10)
    assert not thread.is_alive()
  assert ended(0) == []


@pytest.mark.slow
def test_processes_meet_however_late_one_comes(network, fast):
  order, late = [], threading.Event()

  def take_part(i):
    with network.watched(i) as meet:
      for meeting in range(3):
        if i == meeting:
          late.wait(2 * fast)  # longer than a frozen process may
          order.append(f'{meeting} late')
        meet()
        order.append(meeting)
        meet()

  with futures.ThreadPoolExecutor(3) as executor:
    for done in [executor.submit(take_part, i) for i in range(3)]:
      done.result(timeout=30)
  assert order == ['0 late', 0, 0, 0, '1 late', 1, 1, 1, '2 late', 2, 2, 2]


def test_nobody_waits_for_one_that_has_completed(network):
  def take_part(i):
    with network.watched(i) as meet:
      if i != 1:  # it ends with success, as no process should
        meet()

  threads = [
    threading.Thread(target=take_part, args=(i,), daemon=True) for i in range(3)
  ]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join(10)
    assert not thread.is_alive()

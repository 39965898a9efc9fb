"""Processes that see different data, freeze or end."""

import platform
import signal

import jax
from jax.experimental import multihost_utils
import numpy as np
import pytest

from inception_jax.distributed import session
from inception_jax.distributed.liveness import SharedUserError
from tests.support import commands
from tests.support.hosts import free_port

# `busy` holds the interpreter, so that jax's threads, which abort, are first to
# notice a lost coordinator.
PROGRAM = """
import sys
from inception_jax.distributed import cluster
from inception_jax.distributed import liveness
from inception_jax.distributed import session
from inception_jax.runtime import cli
from tests.support.tiny import tiny_config

liveness.HEARTBEAT_SECONDS = 0.5

def main(arguments):
  address, index, ends = arguments
  process = cluster.ProcessInfo(address, 2, int(index))
  with session.connected(process, tiny_config(), '', 60.0):
    print('ready', flush=True)
    sys.stdin.readline()
    if ends == 'busy':
      while True:
        sum(range(10**7))
  return None

cli.run(main, takes_paths=True)
"""


@pytest.fixture
def check(monkeypatch):
  """Checks the facts of several processes; returns the faults of process 0."""
  monkeypatch.setattr(jax, 'process_count', lambda: 2)

  def check(*facts):
    sent = []
    for i, own in enumerate(facts):
      monkeypatch.setattr(platform, 'node', lambda i=i: f'host{i}')
      gather = lambda local: sent.append(local) or local[None]
      monkeypatch.setattr(multihost_utils, 'process_allgather', gather)
      session.check_equal(own)
    gather = lambda local: np.stack(sent)
    monkeypatch.setattr(multihost_utils, 'process_allgather', gather)
    try:
      session.check_equal(facts[0])
    except SharedUserError as error:
      return error.faults
    return ()

  return check


def test_the_fault_names_the_hosts_and_the_split(check):
  facts = {'classes': ('a', 'b'), 'images to train on': (9, 'abc')}
  assert check(facts, facts, facts) == ()
  other = {**facts, 'images to train on': (9, 'abd')}
  assert check(facts, facts, other) == (
    'process 2 on host2 has other images to train on than process 0 on host0: '
    'do they see the same files?',
  )
  assert len(check(facts, other, {**other, 'classes': ('b', 'a')})) == 3


@pytest.fixture
def start():
  """A function that starts two processes and waits until they have met."""
  started = []

  def processes(ends):
    address = f'localhost:{free_port()}'
    for i in range(2):
      process = commands.start(
        *(address, str(i), ends), program=('-c', PROGRAM), stdin=True
      )
      started.append(process)
    for process in started:
      assert process.stdout.readline() == 'ready\n', process.communicate()
    return started

  yield processes
  for process in started:
    process.end()


def go_on(processes):
  for process in processes:
    process.stdin.write('\n')
    process.stdin.flush()


def check_lost(process, lost):
  _, error = process.communicate(timeout=60)
  assert process.returncode == 75, error
  assert f'error: lost process {lost} ' in error


@pytest.mark.slow
@pytest.mark.parametrize('number', [signal.SIGKILL, signal.SIGSTOP])
def test_lost_coordinator_ends_the_others_with_75(start, number):
  first, second = processes = start('busy')
  go_on(processes)
  first.send_signal(number)
  check_lost(second, 0)
  if number == signal.SIGSTOP:
    first.send_signal(signal.SIGCONT)
    check_lost(first, 0)


@pytest.mark.slow
def test_processes_at_their_end_wait_for_no_frozen_one(start):
  first, second = processes = start('done')
  second.send_signal(signal.SIGSTOP)
  go_on(processes)
  check_lost(first, 1)


class Started(Exception):
  """Ends a call at its first collective."""


@pytest.fixture
def done(monkeypatch):
  """What one of two processes does, up to its first collective."""
  done = []

  def collective(value):
    done.append('collective')
    raise Started

  monkeypatch.setattr(jax, 'process_count', lambda: 2)
  monkeypatch.setattr(session, '_meet', lambda: done.append('meeting'))
  for name in ('broadcast_one_to_all', 'process_allgather'):
    monkeypatch.setattr(multihost_utils, name, collective)
  return done


@pytest.mark.parametrize('process', [0, 1])
def test_nobody_starts_a_collective_until_process_0_is_ready(
  monkeypatch, done, process
):
  monkeypatch.setattr(jax, 'process_index', lambda: process)
  with pytest.raises(Started):
    session.from_primary(lambda: done.append('made'))
  assert done == [*['made'][process:], 'meeting', 'collective']


def test_facts_are_compared_when_all_processes_have_them(done):
  with pytest.raises(Started):
    session.check_equal({'images': 3})
  assert done == ['meeting', 'collective']

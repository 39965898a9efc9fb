"""Runs the processes of one training on separate hosts, if possible.

A host is a network namespace with a name and an address, so that the processes
communicate over a network. Without the rights to create namespaces, they
communicate over loopback.
"""

import contextlib
import ctypes
import functools
import os
import pathlib
import platform
import shutil
import socket
import subprocess

from tests.support import commands
from tests.support.commands import ROOT
from tests.support.forks import Fork

_PORT = 8476
# Of <sched.h>; os.setns and os.unshare are new in Python 3.12.
_NEW_MOUNTS, _NEW_NAME, _NETWORK = 0x20000, 0x4000000, 0x40000000


def free_port() -> int:
  with socket.socket() as free:
    free.bind(('localhost', 0))
    return free.getsockname()[1]


class Hosts:
  """The hosts of one training, with one process each.

  Attributes:
    address: of the coordinator, process 0.
    names: host names, as the processes see them.
    namespaces: of the hosts; none where they are this machine.
    hosts_file: with their names.
    gateway: the address of this machine, as they see it.
  """

  gateway = '127.0.0.1'

  def __init__(self, count: int, namespaces=(), hosts_file=''):
    self.namespaces, self.hosts_file = namespaces, hosts_file
    self.names = [f'host{i}' for i in range(count)]
    self.address = f'host0:{_PORT}'
    if not namespaces:
      self.names = [socket.gethostname()] * count
      self.address = f'localhost:{free_port()}'

  def start(
    self, *args, devices: int, cwds=None, prepare=None, **kwargs
  ) -> list[Fork]:
    """Starts the processes of one training, each with `devices` devices."""
    started = []
    for i in range(len(self.names)):
      place = [
        f'--coordinator_address={self.address}',
        f'--num_processes={len(self.names)}',
        f'--process_id={i}',
      ]
      cwd = cwds[i] if cwds else ROOT
      if self.namespaces:
        names = self.namespaces[i], self.names[i], self.hosts_file
        kwargs['prepare'] = functools.partial(_enter, *names, prepare)
      else:
        kwargs['prepare'] = prepare
      started.append(
        commands.start(*args, *place, devices=devices, cwd=cwd, **kwargs)
      )
    return started


def _enter(namespace: str, name: str, hosts_file: str, then=None) -> None:
  """Moves this process, which has one thread, to a host; then calls `then`."""
  libc = ctypes.CDLL(None)
  with open(f'/run/netns/{namespace}') as file:
    assert not libc.setns(file.fileno(), _NETWORK)
  assert not libc.unshare(_NEW_MOUNTS | _NEW_NAME)
  socket.sethostname(name)
  platform._uname_cache = None  # it may hold the name before
  for mount in (
    ('--make-rprivate', '/'),
    ('--bind', hosts_file, '/etc/hosts'),
  ):
    subprocess.run(('mount', *mount), check=True)
  if then:
    then()


@contextlib.contextmanager
def hosts(count: int, folder: pathlib.Path, gateway: bool = False):
  """Creates hosts and deletes them afterwards; their files go to `folder`.

  With `gateway` they reach this machine, from one such context at a time.
  """
  if os.getuid() or not shutil.which('ip') or not _can_create_namespaces():
    yield Hosts(count)
    return
  key = f'ij{os.getpid()}'
  namespaces = [f'{key}-{i}' for i in range(count)]
  lines = ['127.0.0.1 localhost']
  lines += [f'10.77.0.{i + 1} host{i}' for i in range(count)]
  (folder / 'hosts').write_text('\n'.join(lines) + '\n')
  try:
    _run('netns', 'add', key)  # holds the switch
    _run('-n', key, 'link', 'add', 'switch', 'type', 'bridge')
    _run('-n', key, 'link', 'set', 'switch', 'up')
    for i, name in enumerate(namespaces):
      _run('netns', 'add', name)
      _run('-n', name, 'link', 'set', 'lo', 'up')
      _run(
        *f'-n {name} link add eth0 type veth peer eth{i} netns {key}'.split()
      )
      _run(*f'-n {key} link set eth{i} master switch up'.split())
      _run(*f'-n {name} address add 10.77.0.{i + 1}/24 dev eth0'.split())
      _run(*f'-n {name} link set eth0 up'.split())
    created = Hosts(count, namespaces, str(folder / 'hosts'))
    if gateway:
      created.gateway = '10.77.0.254'
      _run(*f'link add {key} type veth peer root netns {key}'.split())
      _run(*f'-n {key} link set root master switch up'.split())
      _run(*f'address add {created.gateway}/24 dev {key}'.split())
      _run('link', 'set', key, 'up')
    yield created
  finally:
    for name in (*namespaces, key):
      subprocess.run(_netns('del', name), capture_output=True)


def wait_all(processes, timeout=300) -> list[tuple[int, str, str]]:
  """Waits for processes; returns the status, stdout and stderr of each."""
  outcomes = []
  try:
    for process in processes:
      out, error = process.communicate(timeout=timeout)
      outcomes.append((process.returncode, out, error))
  finally:
    for process in processes:
      process.end()
  return outcomes


def _netns(*args):
  return ('ip', 'netns', *args)


def _run(*args) -> None:
  subprocess.run(('ip', *args), check=True, capture_output=True, text=True)


def _can_create_namespaces() -> bool:
  name = f'ij{os.getpid()}-try'
  status = subprocess.run(_netns('add', name), capture_output=True).returncode
  subprocess.run(_netns('del', name), capture_output=True)
  return not status

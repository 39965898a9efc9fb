"""Runs the processes of one training on separate hosts, if possible.

A host is a network namespace with a name and an address, so that the processes
communicate over a network. Without the rights to create namespaces, they
communicate over loopback.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess

from tests.support.commands import ROOT
from tests.support.commands import command

_PORT = 8476
# In a new mount namespace, so that the test can replace /etc/hosts.
_ENTER = 'mount --bind "$0" /etc/hosts && hostname "$1" && shift && exec "$@"'


def free_port() -> int:
  with socket.socket() as free:
    free.bind(('localhost', 0))
    return free.getsockname()[1]


class Hosts:
  """The hosts of one training, with one process each.

  Attributes:
    address: of the coordinator, process 0.
    names: host names, as the processes see them.
  """

  def __init__(self, count: int, namespaces=(), hosts_file=''):
    self._namespaces, self._hosts_file = namespaces, hosts_file
    self.names = [f'host{i}' for i in range(count)]
    self.address = f'host0:{_PORT}'
    if not namespaces:
      self.names = [socket.gethostname()] * count
      self.address = f'localhost:{free_port()}'

  def start(
    self, *args, devices: int, cwds=None, **kwargs
  ) -> list[subprocess.Popen]:
    """Starts the processes of one training, each with `devices` devices."""
    started = []
    for i in range(len(self.names)):
      place = [
        f'--coordinator_address={self.address}',
        f'--num_processes={len(self.names)}',
        f'--process_id={i}',
      ]
      cwd = cwds[i] if cwds else ROOT
      start = command(*args, *place, devices=devices, cwd=cwd, **kwargs)
      if self._namespaces:
        start['args'] = [
          *_netns('exec', self._namespaces[i]),
          *('unshare', '--mount', '--uts', 'sh', '-c', _ENTER),
          *(self._hosts_file, f'host{i}'),
          *start['args'],
        ]
      started.append(subprocess.Popen(**start, start_new_session=True))
    return started


@contextlib.contextmanager
def hosts(count: int, folder: pathlib.Path):
  """Creates hosts and deletes them afterwards; their files go to `folder`."""
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
    yield Hosts(count, namespaces, str(folder / 'hosts'))
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
      if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
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

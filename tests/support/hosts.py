"""Several processes of one training, on hosts of their own where that can be.

A host is a network namespace with a name and an address, so that what the
processes say to each other crosses a network. Where namespaces are not allowed,
the processes meet on loopback.
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
# In a mount namespace of its own, so that /etc/hosts is the test's.
_ENTER = 'mount --bind "$0" /etc/hosts && hostname "$1" && shift && exec "$@"'


def free_port() -> int:
  with socket.socket() as free:
    free.bind(('localhost', 0))
    return free.getsockname()[1]


class Hosts:
  """Where processes run.

  Attributes:
    address: of process 0, for the others.
    names: of the hosts, as their processes see them.
  """

  def __init__(self, count: int, names=(), hosts_file=''):
    self._names, self._file = names, hosts_file
    self.names = [f'host{i}' for i in range(count)]
    self.address = f'host0:{_PORT}'
    if not names:
      self.names = [socket.gethostname()] * count
      self.address = f'localhost:{free_port()}'

  def start(
    self, *args, devices: int, cwds=None, **kwargs
  ) -> list[subprocess.Popen]:
    """The processes of one training, each with `devices` of its own."""
    started = []
    for i in range(len(self.names)):
      place = (
        f'--coordinator_address={self.address}',
        f'--num_processes={len(self.names)}',
        f'--process_id={i}',
      )
      cwd = cwds[i] if cwds else ROOT
      start = command(*args, *place, devices=devices, cwd=cwd, **kwargs)
      if self._names:
        inside = ('unshare', '--mount', '--uts', 'sh', '-c', _ENTER, self._file)
        inside = (*_netns('exec', self._names[i]), *inside, f'host{i}')
        start['args'] = [*inside, *start['args']]
      started.append(subprocess.Popen(**start, start_new_session=True))
    return started


@contextlib.contextmanager
def hosts(count: int, folder: pathlib.Path):
  """Makes them; `folder` is for files of theirs."""
  if os.getuid() or not shutil.which('ip') or not _allowed():
    yield Hosts(count)
    return
  key = f'ij{os.getpid()}'
  names = [f'{key}-{i}' for i in range(count)]
  lines = ['127.0.0.1 localhost']
  lines += [f'10.77.0.{i + 1} host{i}' for i in range(count)]
  (folder / 'hosts').write_text('\n'.join(lines) + '\n')
  try:
    _run('netns', 'add', key)  # with the switch
    _run('-n', key, 'link', 'add', 'switch', 'type', 'bridge')
    _run('-n', key, 'link', 'set', 'switch', 'up')
    for i, name in enumerate(names):
      _run('netns', 'add', name)
      _run('-n', name, 'link', 'set', 'lo', 'up')
      _run(
        *f'-n {name} link add eth0 type veth peer eth{i} netns {key}'.split()
      )
      _run(*f'-n {key} link set eth{i} master switch up'.split())
      _run(*f'-n {name} address add 10.77.0.{i + 1}/24 dev eth0'.split())
      _run(*f'-n {name} link set eth0 up'.split())
    yield Hosts(count, names, str(folder / 'hosts'))
  finally:
    for name in (*names, key):
      subprocess.run(_netns('del', name), capture_output=True)


def ends(processes, timeout=300) -> list[tuple[int, str, str]]:
  """Of each: its status, and what it said on stdout and stderr."""
  found = []
  try:
    for process in processes:
      out, error = process.communicate(timeout=timeout)
      found.append((process.returncode, out, error))
  finally:
    for process in processes:
      if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
  return found


def _netns(*args):
  return ('ip', 'netns', *args)


def _run(*args) -> None:
  subprocess.run(('ip', *args), check=True, capture_output=True, text=True)


def _allowed() -> bool:
  name = f'ij{os.getpid()}-try'
  made = subprocess.run(_netns('add', name), capture_output=True).returncode
  subprocess.run(_netns('del', name), capture_output=True)
  return not made

"""Starts trainings of the hosts of tests.support.hosts by launch/ssh.sh."""

import contextlib
import os
import pathlib
import re
import subprocess
import sys
import time

from tests.support import commands

TRAIN_SECONDS = 1200  # of a whole training, on a busy machine
_STUBS = commands.ROOT / 'tests' / 'system' / 'launchers' / 'pod'


class Pod:
  """Hosts, which have their logs and disks in a folder.

  Attributes:
    namespaces: network namespaces of the hosts.
  """

  def __init__(self, folder: pathlib.Path, namespaces, devices: int):
    """Of hosts that have so many devices together."""
    self.namespaces, self._folder, self._devices = namespaces, folder, devices

  def start(self, name: str, arguments, on) -> subprocess.Popen:
    """Starts launch/ssh.sh, with a log of this name.

    Args:
      name: of the log, to which it adds.
      arguments: of main.py.
      on: the numbers of the hosts, in order.
    """
    env = commands.command(devices=self._devices // len(on))['env']
    env |= {
      'HOSTS': ' '.join(f'host{i}' for i in on),
      'NAMESPACES': self.namespaces[0].removesuffix('-0'),
      'PATH': f'{_STUBS}:{env["PATH"]}',
      'PAUSE': '2',
      'POD': str(self._folder),
      'PYTHON': str(_STUBS / 'python'),
      'PYTHON_OF_TESTS': sys.executable,
    }
    script = commands.ROOT / 'launch' / 'ssh.sh'
    recipe, workdir, *flags = arguments
    recipe = recipe.removeprefix('--config=')
    workdir = workdir.removeprefix('--workdir=')
    with open(self._folder / f'{name}.log', 'a') as log:
      return subprocess.Popen(
        [script, recipe, workdir, *flags],
        env=env,
        cwd=commands.ROOT,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
      )

  def finish(self, process: subprocess.Popen, name: str) -> None:
    """Waits until it has trained to the end."""
    status = process.wait(TRAIN_SECONDS)
    assert status == 0, f'{status}: {self.log(name)[-4000:]}'

  def send_signal(self, host: int, number: int) -> None:
    """Sends a signal to the training's processes of a host."""
    command = ('ip', 'netns', 'pids', self.namespaces[host])
    pids = subprocess.check_output(command, text=True)
    for pid in map(int, pids.split()):
      with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)

  def log(self, name: str) -> str:
    """Returns what all processes have logged so far."""
    return (self._folder / f'{name}.log').read_text()

  def restarts(self, name: str) -> int:
    """Returns how often launch/restart.sh has started them again."""
    return self.log(name).count(': restart ')

  def wait_for_log(self, process, name: str, pattern: str) -> None:
    """Waits until a pattern is in the log."""
    while not re.search(pattern, self.log(name)):
      assert process.poll() is None, self.log(name)[-4000:]
      time.sleep(0.1)

  def wait_for_step(self, process, name: str, step: int) -> None:
    """Waits until a step is logged."""
    numbers = lambda: re.findall(r'step (\d+) of', self.log(name))
    while max(map(int, numbers()), default=0) < step:
      assert process.poll() is None, self.log(name)[-4000:]
      time.sleep(0.1)

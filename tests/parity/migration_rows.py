"""A row of the migration table: a command, and what it must have done."""

from collections.abc import Callable
import dataclasses
import json
import os
import pathlib
import shlex
import subprocess
import sys
from typing import Any

from tests.support import commands

_TIMEOUT = 900  # seconds of a command

# Narrow networks and few steps, added to a row's command.
IMAGENET = (
  *('--config.model.width=0.125', '--config.data.image_size=139'),
  *('--config.batch_size=20', '--config.model.bn_momentum=0.9'),
)
CIFAR = (
  *('--config.model.width=0.125', '--config.batch_size=20'),
  '--config.model.bn_momentum=0.9',
)
STEPS = (
  *('--config.train_for=20 steps', '--config.eval_every=20 steps'),
  *('--config.log_every=5 steps', '--config.schedule.warmup=2 steps'),
)


class Wrong(Exception):
  """A command did not do what it must."""


@dataclasses.dataclass
class Bench:
  """Where the rows run.

  Attributes:
    folder: has the data and the runs; the working directory.
    clones: the folder of the repositories.
    torch: Python interpreter with PyTorch.
    mindspore: Python interpreter with MindSpore.
    environment: the variables to run the latter with.
  """

  folder: pathlib.Path
  clones: pathlib.Path
  torch: str
  mindspore: str
  environment: dict[str, str]

  def program(self, python: str, *words: str, env=None) -> None:
    """Runs a program of the other systems; raises Wrong if it fails."""
    done = subprocess.run(
      [python, *words],
      cwd=self.folder,
      env=env,
      capture_output=True,
      text=True,
      timeout=_TIMEOUT,
    )
    if done.returncode:
      raise Wrong(f'{words[0]} failed: {done.stderr[-1000:]}')

  def mindspore_program(self, *words: str) -> None:
    """Runs mindspore_users.py."""
    program = str(commands.ROOT / 'tests/parity/mindspore_users.py')
    clone = f'--clone={self.clones / "models"}'
    self.program(self.mindspore, program, *words, clone, env=self.environment)

  def torch_program(self, *words: str) -> None:
    """Runs torch_users.py."""
    program = str(commands.ROOT / 'tests/parity/torch_users.py')
    clone = f'--clone={self.clones / "pytorch-cifar100"}'
    self.program(self.torch, program, *words, clone)

  def numbers(self, name: str) -> list[int]:
    """Returns the classes that another system's program has predicted."""
    return json.loads((self.folder / name).read_text())


@dataclasses.dataclass
class Done:
  """What a command did: exit status, result, lines on stderr and stdout."""

  status: int
  result: dict[str, Any]
  log: str
  stdout: str = ''

  def said(self, text: str) -> str:
    """Returns the log's line with this text."""
    for line in self.log.splitlines():
      if text in line:
        return line
    raise Wrong(f'the log lacks {text!r}: {self.log[-1000:]}')


@dataclasses.dataclass(frozen=True)
class Row:
  """A command of the table.

  Attributes:
    system: whose users have it.
    feature: in English and in Chinese.
    command: as it is written in the page; it runs in the bench's folder.
    check: (bench, what the command did) → facts for `result`; raises Wrong.
    result: in English and in Chinese, with the names of the facts in braces.
    small: arguments that make it quick.
    before: makes what the command needs.
    status: the exit status that it must have.
    devices: how many the CPU is divided into.
    torch: whether it needs PyTorch, to read a .pth.
  """

  system: str
  feature: tuple[str, str]
  command: str
  check: Callable[[Bench, Done], dict]
  result: tuple[str, str]
  small: tuple[str, ...] = ()
  before: Callable[[Bench], None] = lambda bench: None
  status: int = 0
  devices: int = 1
  torch: bool = False

  @property
  def key(self) -> str:
    """Tells rows apart, as long as neither command nor system changes."""
    return f'{self.system}: {self.command}'


def words(command: str, root: pathlib.Path = commands.ROOT) -> list[str]:
  """Returns a row's command as the arguments of a process."""
  program, *arguments = shlex.split(command)
  if program.startswith('tools.'):
    return [sys.executable, '-m', f'inception_jax.{program}', *arguments]
  if program == 'main.py':
    return [sys.executable, str(root / program), *arguments]
  return [str(root / program), *arguments]


def run_row(row: Row, bench: Bench) -> dict:
  """Runs a row's command; returns its facts.

  Raises:
    Wrong: it did something else than it must.
  """
  row.before(bench)
  env = commands.command(devices=row.devices, optimized=True)['env']
  arguments = words(row.command)
  if row.torch:
    arguments[0] = bench.torch
  done = subprocess.run(
    [*arguments, *row.small],
    cwd=bench.folder,
    env=env,
    capture_output=True,
    text=True,
    timeout=_TIMEOUT,
  )
  if done.returncode != row.status:
    raise Wrong(f'exit status {done.returncode}: {done.stderr[-1500:]}')
  last = (done.stdout.splitlines() or [''])[-1]
  result = json.loads(last) if last.startswith('{') else {}
  return row.check(
    bench, Done(done.returncode, result, done.stderr, done.stdout)
  )


def expect(actual, expected, what: str) -> None:
  """Raises Wrong unless both are equal."""
  if actual != expected:
    raise Wrong(f'{what}: {actual!r}, expected {expected!r}')


def remove(bench: Bench, *names: str) -> None:
  """Removes what an earlier, wrong run of a row left."""
  for name in names:
    subprocess.run(['rm', '-rf', os.path.join(bench.folder, name)], check=True)

"""Kills and signals of a training by three processes; part of `make soak`.

In each phase of the training, one process is killed, all are, or one gets
SIGTERM. All must then end by themselves, and the same command resumes, until
the training is complete.
"""

from collections.abc import Callable
import contextlib
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np

from inception_jax.checkpointing import checkpoint
from inception_jax.checkpointing import lookup
from inception_jax.runtime import metrics_file
from inception_jax.runtime import preemption
from tests.support.hosts import free_port
from tests.support.training_process import STEPS
from tests.support.training_process import Training
from tests.support.training_process import final_state
from tests.support.training_process import newest_valid
from tests.support.training_process import steps_done

PROCESSES = 3
FAULTS = ('SIGKILL of one', 'SIGKILL of all', 'SIGTERM of one')
# Phase → what process 0 has logged, and the most seconds until the fault.
PHASES = {
  'starting': ('', 0.0),  # until it compiles
  'compiling': ('compiling the training step', 0.5),
  'training': (r'step \d+ of', 1.0),
  'evaluating': (r'step \d*[05] of', 0.2),
  'saving': (r'step \d+ of', 0.02),  # after a checkpoint's folder appeared
}
_CHANGES = {
  'model__name': 'tiniest',
  'model__aux_head': False,
  'ema_decay': 0.0,
  'batch_size': 6 * PROCESSES,
  'eval_every': '5 steps',
}
_CONNECT_SECONDS = 20  # for the other processes
_END_SECONDS = 120  # in which all processes end after a fault
_TRAIN_SECONDS = 1800  # of a whole training, on a busy machine


class _Group:
  """The processes of one training, which run main.py."""

  def __init__(self, workdir: pathlib.Path, imports: bool = False):
    place = [
      f'--initialization_timeout={_CONNECT_SECONDS}',
      f'--coordinator_address=localhost:{free_port()}',
      f'--num_processes={PROCESSES}',
    ]
    self.members = [
      Training(
        workdir,
        place=(*place, '--process_id', str(i)),
        imports=imports,
        **_CHANGES,
      )
      for i in range(PROCESSES)
    ]

  @property
  def is_running(self) -> bool:
    return all(member.process.poll() is None for member in self.members)

  def wait_until(self, condition: Callable[[], bool]) -> None:
    """Waits for a condition, or until a process ends."""
    while self.is_running and not condition():
      time.sleep(0.002)

  def wait_for_log(self, pattern: str) -> None:
    self.wait_until(lambda: re.search(pattern, self.members[0].log))

  def wait(self, seconds: float = _END_SECONDS) -> list[int | None]:
    """Waits for the exit statuses; None for a process that had to be killed."""
    deadline, statuses = time.monotonic() + seconds, []
    for member in self.members:
      try:
        statuses.append(member.wait(max(0.0, deadline - time.monotonic())))
      except subprocess.TimeoutExpired:
        member.process.kill()
        member.wait()
        statuses.append(None)
    return statuses

  @property
  def log(self) -> str:
    return ''.join(member.log for member in self.members)


class ProcessSoak:
  """Injects faults; `row` adds a row to the table."""

  def __init__(self, folder: pathlib.Path, random: np.random.Generator, row):
    self._folder, self._random, self._row = folder, random, row
    started = time.monotonic()
    group = _Group(folder / 'three', imports=True)
    group.wait_for_log(PHASES['compiling'][0])
    self._start_seconds = time.monotonic() - started
    self._check_complete(group)
    self._expected = self._result(folder / 'three')
    again = self._completes(folder / 'three-again')
    row('3 processes, none: trained again', 1, '–', '–', '–', again)

  def faults(self, fault: str, phase: str, count: int) -> None:
    """Injects a fault `count` times, then completes the training."""
    workdir = self._folder / f'{fault}-{phase}'.replace(' ', '-')
    tried, lost, detected, equal = 0, 0, 0, True
    while tried < count:
      before = newest_valid(workdir)
      group = _Group(workdir, imports=phase == 'starting')
      self._wait_for_phase(group, workdir, phase, fault)
      hit = self._inject(group, fault)
      statuses = group.wait()
      if 0 in statuses:  # it was complete before the fault
        equal &= self._is_complete(workdir)
        shutil.rmtree(workdir)
        continue
      tried += 1
      killed = hit if 'SIGKILL' in fault else ()
      expected = [
        -signal.SIGKILL if i in killed else preemption.STATUS
        for i in range(PROCESSES)
      ]
      is_detected = statuses == expected and 'Traceback' not in group.log
      if not is_detected:
        print(
          f'{fault} while {phase}: {statuses}\n{group.log}', file=sys.stderr
        )
      detected += is_detected
      after = newest_valid(workdir)
      equal &= after >= before  # saved checkpoints are never lost
      lost = max(lost, steps_done(workdir) - after)
    equal &= detected == tried and self._completes(workdir)
    name = f'3 processes: {fault} while {phase}'
    self._row(name, tried, detected, '–', lost, equal)

  def _wait_for_phase(self, group, workdir, phase, fault) -> None:
    pattern, delay = PHASES[phase]
    if fault == 'SIGTERM of one':
      for member in group.members:
        member.wait_for_handler()
    if phase == 'starting':
      delay = self._start_seconds
    group.wait_for_log(pattern)
    if phase == 'saving':  # the folder of an earlier kill is deleted by now
      group.wait_until(lambda: _is_saving(workdir))
    end = time.monotonic() + self._random.uniform(0, delay)
    group.wait_until(lambda: time.monotonic() > end)

  def _inject(self, group, fault) -> set[int]:
    """Returns the indices of the processes that the fault hits."""
    hit = {int(self._random.integers(PROCESSES))}
    if fault == 'SIGKILL of all':
      hit = set(self._random.permutation(PROCESSES).tolist())
    number = signal.SIGKILL if 'SIGKILL' in fault else signal.SIGTERM
    for i in hit:
      group.members[i].process.send_signal(number)
    return hit

  def _completes(self, workdir) -> bool:
    """Trains to the end; returns whether the result is the expected one."""
    self._check_complete(_Group(workdir))
    return self._is_complete(workdir)

  def _is_complete(self, workdir) -> bool:
    done = newest_valid(workdir) == STEPS
    return done and self._result(workdir) == self._expected

  def _check_complete(self, group) -> None:
    if group.wait(_TRAIN_SECONDS) != [0] * PROCESSES:
      raise RuntimeError(f'training failed:\n{group.log[-4000:]}')

  def _result(self, workdir):
    """Returns the final state, and every line of metrics.jsonl."""
    lines = metrics_file.read(str(workdir))
    metrics = {
      (line['step'], line['split']): {
        key: value
        for key, value in line.items()
        if key not in metrics_file.TIMES
      }
      for line in lines
    }
    return final_state(workdir), metrics


def _is_saving(workdir: pathlib.Path) -> bool:
  folder = lookup.checkpoint_folder(str(workdir))
  with contextlib.suppress(FileNotFoundError):
    return any(map(checkpoint.is_unfinished, folder.iterdir()))
  return False

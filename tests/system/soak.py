"""Injects faults into training and checks that the final state is the same.

  make soak                                    # and benchmarks/soak.md
  make soak ARGS='--minutes=60 --seed=7'

main.py trains a tiny network repeatedly to the same step: undisturbed; killed
at random moments; interrupted by signals in each of its phases; with every file
of its newest checkpoint truncated, corrupted and removed; on a full disk; and
with a second process in its workdir. Kills continue until the minutes are over.
Then three processes train another network, and one or all of them are killed or
interrupted in each phase. Exit status 1 if a fault is not detected, or if a
final state differs in a bit.
"""

import argparse
import collections
import contextlib
import logging
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np

from inception_jax.checkpointing import checkpoint
from inception_jax.checkpointing.directory import CheckpointDirectory
from inception_jax.checkpointing.manager import CheckpointManager
from inception_jax.runtime import hardware
from inception_jax.runtime import lock
from inception_jax.runtime import preemption
from tests.parity import table
from tests.support import commands
from tests.support.training_process import STEPS
from tests.support.training_process import Training
from tests.support.training_process import finish
from tests.support.training_process import newest_valid
from tests.support.training_process import steps_done
from tests.system import soak_processes

MIN_KILLS = 50
SIGNALS_PER_PHASE = 5
DAMAGES = {'bit flipped': 12, 'truncated': 8, 'removed': 1}  # tries per file
FULL_DISK = 2.5  # size of the disk that fills up, in checkpoints
_FAULTS_HELP = 'of three processes: of each kind in each phase'
_EXPLAINED = """\
A network of eight convolutions trains for {steps} steps with dropout and random
augmentation, saves a checkpoint every third step and evaluates every tenth. A
damaged file is detected if its checkpoint is moved aside and an older one
restored, and harmless if every array that is read equals the saved one bitwise.
Steps lost are the completed steps that are not in the newest valid checkpoint.
Signals are sent as soon as the process has handlers for them, which it installs
before it imports anything but its flags. Final states are compared by the
SHA-256 of every array. Of several processes, a network of three convolutions
is trained, and evaluated every fifth step. Their fault is detected if all of
them end by themselves, those that are not killed with status 75, and without a
traceback; the same state includes every line of metrics.jsonl, its times aside.
Seed {seed}.
"""


class Soak:
  """Injects faults; each method adds one or more rows to the table."""

  def __init__(self, folder: pathlib.Path, seed: int):
    self._folder, self._random = folder, np.random.default_rng(seed)
    self.rows, self.passed = [], True
    begin = time.monotonic()
    self._expected = finish(folder / 'straight')
    self._seconds = time.monotonic() - begin
    again = finish(folder / 'again') == self._expected
    self.row('none: trained again', 1, '–', '–', '–', again)

  def row(self, fault, tried, detected, harmless, lost, equal):
    self.passed &= bool(equal)
    cells = [fault, tried, detected, harmless, lost]
    cells.append('yes' if equal else '**NO**')
    self.rows.append(f'| {" | ".join(map(str, cells))} |')
    print(f'{time.ctime()} {self.rows[-1]}', file=sys.stderr, flush=True)

  def _equal(self, workdir, **changes) -> bool:
    return finish(workdir, **changes) == self._expected

  def kills(self, deadline: float) -> None:
    """Sends SIGKILL at random moments, half of them after compilation."""
    workdir, tried, lost, ends, equal = self._folder / 'killed', 0, 0, 0, True
    while tried < MIN_KILLS or time.monotonic() < deadline:
      before = newest_valid(workdir)
      training = Training(workdir)
      wait = self._seconds
      if tried % 2 and training.wait_for_log('compiled in'):
        wait = 0.3 * self._seconds
      with contextlib.suppress(subprocess.TimeoutExpired):
        training.process.wait(self._random.uniform(0, wait))
      if training.process.poll() is not None:  # completed before the kill
        equal &= training.wait() == 0 and self._equal(workdir)
        ends += 1
        shutil.rmtree(workdir)
        continue
      training.process.kill()
      training.wait()
      tried += 1
      after = newest_valid(workdir)
      equal &= after >= before  # saved checkpoints are never lost
      lost = max(lost, steps_done(workdir) - after)
    equal &= self._equal(workdir)
    self.row(
      f'SIGKILL ({ends + 1} completed runs)', tried, '–', '–', lost, equal
    )

  def signals(self, phase: str, text: str, delay: float, **changes) -> None:
    """Sends SIGTERM or SIGINT up to `delay` seconds after a text is logged."""
    tried, lost, equal = 0, 0, True
    while tried < SIGNALS_PER_PHASE:
      workdir = self._folder / f'signal-{phase}-{tried}'
      cold = self._folder / f'cache-{tried}' if phase == 'compiling' else ''
      imports = phase == 'starting'
      training = Training(workdir, cold, imports=imports, **changes)
      training.wait_for_handler()
      training.wait_for_log(text)
      time.sleep(self._random.uniform(0, delay))
      training.process.send_signal(preemption.SIGNALS[tried % 2])
      status = training.wait()
      if status == 0:  # completed before the signal
        shutil.rmtree(workdir)
        continue
      tried += 1
      lost = max(lost, steps_done(workdir) - newest_valid(workdir))
      equal &= status == preemption.STATUS and self._equal(workdir, **changes)
    self.row(f'signal while {phase}', tried, tried, '–', lost, equal)

  def files(self) -> None:
    """Damages every file of a checkpoint in every way."""
    source = self._folder / 'straight' / 'checkpoints'
    good = CheckpointDirectory(source)
    step = good.steps()[-1]
    expected = good.read_step(step, checkpoint.state_fields)
    names = [
      path.relative_to(source)
      for path in sorted((source / str(step)).rglob('*'))
      if path.is_file()
    ]
    for fault, times in DAMAGES.items():
      counts = collections.Counter()
      for name in (name for name in names for _ in range(times)):
        folder = self._folder / 'damaged' / 'checkpoints'
        shutil.copytree(source, folder)
        if self._damage(folder / name, fault):
          counts['tried'] += 1
          counts[self._outcome(folder, step, expected)] += 1
        shutil.rmtree(folder)
      columns = [counts[key] for key in ('tried', 'detected', 'harmless')]
      # Training itself resumes from one such checkpoint.
      workdir = self._folder / f'damaged-{fault}'
      shutil.copytree(source.parent, workdir)
      largest = max(names, key=lambda name: (source / name).stat().st_size)
      self._damage(workdir / 'checkpoints' / largest, fault)
      equal = not counts['silent'] and self._equal(workdir)
      self.row(f'file: {fault}', *columns, '–', equal)

  def _damage(self, path: pathlib.Path, fault: str) -> bool:
    content = bytearray(path.read_bytes())
    if fault == 'removed':
      path.unlink()
    elif not content:
      return False
    elif fault == 'truncated':
      path.write_bytes(content[: self._random.integers(len(content))])
    else:
      place = self._random.integers(len(content))
      content[place] ^= 1 << self._random.integers(8)
      path.write_bytes(content)
    return True

  def _outcome(self, folder, step, expected) -> str:
    found, _, arrays = CheckpointManager(folder).resume()
    if found != step:
      return 'detected'
    same = arrays.keys() == expected.keys() and all(
      np.array_equal(arrays[name], expected[name]) for name in expected
    )
    return 'harmless' if same else 'silent'

  def full_disk(self) -> None:
    """Trains on a disk too small for the checkpoints, then on a larger one."""
    workdir = self._folder / 'disk' / 'run'
    workdir.parent.mkdir()
    saved = self._folder / 'straight' / 'checkpoints' / str(STEPS)
    size = sum(path.stat().st_size for path in saved.rglob('*'))
    mount = ['mount', '-t', 'tmpfs', '-o', f'size={int(FULL_DISK * size)}']
    mount += ['tmpfs', str(workdir.parent)]
    if os.geteuid() or subprocess.run(mount).returncode:
      self.row('full disk: not tried, mounting requires root', 0, *'–––', True)
      return
    try:
      training = Training(workdir)
      status = training.wait()
      (*_, last) = training.log.strip().splitlines()
      detected = status == 1 and last.startswith('error: ')
      lost = steps_done(workdir) - newest_valid(workdir)
      larger = ['mount', '-o', 'remount,size=200M', str(workdir.parent)]
      subprocess.run(larger, check=True)
      equal = detected and self._equal(workdir)
      self.row('full disk', 1, int(detected), '–', lost, equal)
    finally:
      subprocess.run(['umount', str(workdir.parent)], check=True)

  def second_training(self) -> None:
    """Starts training in a workdir that is locked."""
    workdir = self._folder / 'shared'
    with lock.held(str(workdir)):
      training = Training(workdir)
      detected = training.wait() == 2 and 'in use by another' in training.log
    equal = detected and self._equal(workdir)
    self.row('second process in a workdir', 1, int(detected), '–', 0, equal)

  def processes(self, count: int) -> None:
    """Injects faults into training by three processes."""
    several = soak_processes.ProcessSoak(self._folder, self._random, self.row)
    for fault in soak_processes.FAULTS:
      for phase in soak_processes.PHASES:
        several.faults(fault, phase, count)


def main() -> int:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--minutes', type=float, default=20.0)
  parser.add_argument('--faults', type=int, default=8, help=_FAULTS_HELP)
  parser.add_argument('--seed', type=int, default=0)
  args = parser.parse_args()
  logging.disable()  # the faults are counted in the table
  started = time.monotonic()
  deadline = started + 60 * args.minutes
  print(f'seed {args.seed}, {args.minutes:g} minutes', file=sys.stderr)
  with tempfile.TemporaryDirectory() as folder:
    soak = Soak(pathlib.Path(folder), args.seed)
    soak.second_training()
    soak.files()
    soak.full_disk()
    soak.signals('starting', '', 3.0)
    soak.signals('compiling', 'compiling the training step', 0.5)
    soak.signals('training', 'step 1 of', 0.5, eval_every=f'{STEPS} steps')
    soak.signals('evaluating', 'step 1 of', 1.0, eval_every='1 step')
    soak.signals('saving', 'step 1 of', 1.0, checkpoint_every='1 step')
    soak.kills(deadline)
    soak.processes(args.faults)
  minutes = (time.monotonic() - started) / 60
  text = table.page(
    '# Fault injection: training after kills, signals and damaged files',
    f'`make soak` on {hardware.machine()}, {time.strftime("%Y-%m-%d")}, '
    f'{minutes:.0f} minutes.',
    _EXPLAINED.format(steps=STEPS, seed=args.seed),
    ['fault', 'tried', 'detected', 'harmless', 'steps lost', 'same state'],
    soak.rows,
    [table.versions(sys.executable)],
  )
  print(text)
  (commands.ROOT / 'benchmarks' / 'soak.md').write_text(text)
  return 0 if soak.passed else 1


if __name__ == '__main__':
  sys.exit(main())

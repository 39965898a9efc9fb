"""Kills, signals, damages and fills up, and looks whether the end is the same.

  make soak                                    # and benchmarks/soak.md
  make soak ARGS='--minutes=60 --seed=7'

A tiny network trains, by main.py itself, again and again to the same end:
undisturbed; killed at random moments; asked to end in each of its phases; with
every file of its newest checkpoint truncated, flipped and removed; on a disk
that fills up; and twice in one workdir. Kills go on until the minutes are over.
Exit status 1 if a fault went unnoticed, or an end differs by a bit.
"""

import argparse
import contextlib
import logging
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np

from inception_jax.checkpointing import checkpoint
from inception_jax.checkpointing import lookup
from inception_jax.checkpointing.checkpoint import DamagedCheckpoint
from inception_jax.checkpointing.directory import CheckpointDirectory
from inception_jax.runtime import hardware
from inception_jax.runtime import lock
from inception_jax.runtime import preemption
from tests.parity import table
from tests.support import commands

STEPS = 60
LEAST_KILLS = 50
SIGNALS_A_PHASE = 5
FLIPS, TRUNCATIONS = 12, 8  # of each file
TOO_SMALL = 2.5  # checkpoints that fit on the disk that fills up
_EXPLAINED = """\
A network of eight convolutions trains for {steps} steps with everything on
that draws at random; it saves every third step and evaluates every tenth. A
fault of a file is detected if the checkpoint is set aside and an older one
taken, harmless if every array that was read is bitwise the one that was saved.
Steps lost are those that had been done and were not in the checkpoint that the
next process found. Signals come from the moment on that the process has
handlers for them, before it has imported more than its flags. The end is the
SHA-256 of every array of the last state.
Seed {seed}.
"""


def arguments(workdir, **changes) -> list[str]:
  """Of main.py; `changes` are keys of the config, '.' written '__'."""
  config = {
    'model.name': 'tiny',
    'model.width': 1.0,
    'model.dropout_rate': 0.2,
    'data.image_size': 9,
    'data.color_jitter': '(0.2,0.2,0.2,0.1)',
    'data.erase': 0.25,
    'train_for': f'{STEPS} steps',
    'schedule.warmup': '2 steps',
    'checkpoint_every': '3 steps',
    'eval_every': '10 steps',
    'log_every': '1 step',
    **{key.replace('__', '.'): value for key, value in changes.items()},
  }
  return [
    '--config=configs/digits.py',
    f'--workdir={workdir}',
    *(f'--config.{key}={value}' for key, value in config.items()),
  ]


class Training:
  """main.py in a process of its own, with its log in a file."""

  def __init__(self, workdir: pathlib.Path, cache='', **changes):
    # Beside the workdir: that may be a disk that is full.
    self._log = workdir.with_name(f'{workdir.name}.log')
    self._log.write_text('')
    start = commands.command(
      *arguments(workdir, **changes), program=('-m', 'tests.support.tiny')
    )
    if cache:
      start['env']['JAX_COMPILATION_CACHE_DIR'] = str(cache)
    with open(self._log, 'w') as file:
      start.update(stdout=subprocess.DEVNULL, stderr=file)
      self.process = subprocess.Popen(**start)

  @property
  def log(self) -> str:
    """What it has said so far."""
    return self._log.read_text()

  def says(self, text: str) -> bool:
    """Waits until it says something; False if it ends before."""
    while text not in self.log:
      if self.process.poll() is not None:
        return text in self.log
      time.sleep(0.005)
    return True

  def listens(self) -> None:
    """Waits until it has a handler for signals, or ends."""
    status = pathlib.Path(f'/proc/{self.process.pid}/status')
    while self.process.poll() is None:
      caught = re.search(r'SigCgt:\s*(\w+)', status.read_text())[1]
      if int(caught, 16) >> (signal.SIGTERM - 1) & 1:
        return
      time.sleep(0.005)

  def end(self) -> int:
    """Waits for its exit status."""
    return self.process.wait()


def newest(workdir: pathlib.Path) -> int:
  """The step of the newest sound checkpoint; 0 if there is none."""
  history = CheckpointDirectory(lookup.checkpoint_folder(str(workdir)))
  for step in reversed(history.steps()):
    with contextlib.suppress(DamagedCheckpoint):
      history.read_one(step, checkpoint.state_fields)
      return step
  return 0


def done(workdir: pathlib.Path) -> int:
  """The last step that the log of metrics knows of."""
  path = workdir / 'metrics.jsonl'
  text = path.read_text() if path.exists() else ''
  return text.count('"split": "train"')


def finish(workdir: pathlib.Path, **changes) -> dict[str, str]:
  """Trains to the end; the digests of the last state."""
  training = Training(workdir, **changes)
  if training.end():
    raise RuntimeError(f'the training failed:\n{training.log[-2000:]}')
  history = CheckpointDirectory(lookup.checkpoint_folder(str(workdir)))
  history.read_one(STEPS, checkpoint.state_fields)
  leaves = history.record(STEPS)['leaves']
  return {name: leaf['sha256'] for name, leaf in leaves.items()}


class Soak:
  """All kinds of faults; each method makes a row of the table."""

  def __init__(self, folder: pathlib.Path, seed: int):
    self._folder, self._random = folder, np.random.default_rng(seed)
    self.rows, self.sound = [], True
    begin = time.monotonic()
    self._expected = finish(folder / 'straight')
    self._seconds = time.monotonic() - begin
    again = finish(folder / 'again') == self._expected
    self._row('none: the same training again', 1, '–', '–', '–', again)

  def _row(self, fault, tried, detected, harmless, lost, equal):
    self.sound &= bool(equal)
    cells = [fault, tried, detected, harmless, lost]
    cells.append('yes' if equal else '**NO**')
    self.rows.append(f'| {" | ".join(map(str, cells))} |')
    print(f'{time.ctime()} {self.rows[-1]}', file=sys.stderr, flush=True)

  def _equal(self, workdir, **changes) -> bool:
    return finish(workdir, **changes) == self._expected

  def kills(self, deadline: float) -> None:
    """kill -9 at random moments, half of them once the steps have begun."""
    workdir, tried, lost, ends, equal = self._folder / 'killed', 0, 0, 0, True
    while tried < LEAST_KILLS or time.monotonic() < deadline:
      before = newest(workdir)
      training = Training(workdir)
      wait = self._seconds
      if tried % 2 and training.says('compiled in'):
        wait = 0.3 * self._seconds
      with contextlib.suppress(subprocess.TimeoutExpired):
        training.process.wait(self._random.uniform(0, wait))
      if training.process.poll() is not None:  # it came to its end
        equal &= training.end() == 0 and self._equal(workdir)
        ends += 1
        shutil.rmtree(workdir)
        continue
      training.process.kill()
      training.end()
      tried += 1
      after = newest(workdir)
      equal &= after >= before  # what was saved is never lost
      lost = max(lost, done(workdir) - after)
    equal &= self._equal(workdir)
    self._row(f'kill -9 ({ends + 1} ends)', tried, '–', '–', lost, equal)

  def signals(self, phase: str, text: str, delay: float, **changes) -> None:
    """SIGTERM or SIGINT in a phase: once it says a text, and a moment later."""
    tried, lost, equal = 0, 0, True
    while tried < SIGNALS_A_PHASE:
      workdir = self._folder / f'asked-{phase}-{tried}'
      cold = self._folder / f'cache-{tried}' if phase == 'compiling' else ''
      training = Training(workdir, cold, **changes)
      training.listens()
      training.says(text)
      time.sleep(self._random.uniform(0, delay))
      training.process.send_signal(preemption.SIGNALS[tried % 2])
      status = training.end()
      if status == 0:  # too late: it had come to its end
        shutil.rmtree(workdir)
        continue
      tried += 1
      lost = max(lost, done(workdir) - newest(workdir))
      equal &= status == preemption.STATUS and self._equal(workdir, **changes)
    self._row(f'signal while {phase}', tried, tried, '–', lost, equal)

  def files(self) -> None:
    """Every file of a checkpoint, with every fault."""
    source = self._folder / 'straight' / 'checkpoints'
    good = CheckpointDirectory(source)
    step = good.steps()[-1]
    expected = good.read_one(step, checkpoint.state_fields)
    names = [
      path.relative_to(source)
      for path in sorted((source / str(step)).rglob('*'))
      if path.is_file()
    ]
    for fault, times in (
      ('flipped', FLIPS),
      ('truncated', TRUNCATIONS),
      ('removed', 1),
    ):
      counts = {'tried': 0, 'detected': 0, 'harmless': 0}
      for name in (name for name in names for _ in range(times)):
        folder = self._folder / 'damaged' / 'checkpoints'
        shutil.copytree(source, folder)
        if self._damage(folder / name, fault):
          counts['tried'] += 1
          counts[self._notice(folder, step, expected)] += 1
        shutil.rmtree(folder)
      noticed = counts['detected'] + counts['harmless'] == counts['tried']
      row = (f'file {fault}', *counts.values(), '–')
      # And one of them to the end, by the training itself.
      workdir = self._folder / f'damaged-{fault}'
      shutil.copytree(source.parent, workdir)
      largest = max(names, key=lambda name: (source / name).stat().st_size)
      self._damage(workdir / 'checkpoints' / largest, fault)
      self._row(*row, noticed and self._equal(workdir))

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

  def _notice(self, folder, step, expected) -> str:
    found, _, arrays = CheckpointDirectory(folder).resume()
    if found != step:
      return 'detected'
    same = arrays.keys() == expected.keys() and all(
      np.array_equal(arrays[name], expected[name]) for name in expected
    )
    return 'harmless' if same else 'silent'

  def full_disk(self) -> None:
    """A disk too small for the checkpoints, and then a larger one."""
    workdir = self._folder / 'disk' / 'run'
    workdir.parent.mkdir()
    saved = self._folder / 'straight' / 'checkpoints' / str(STEPS)
    size = sum(path.stat().st_size for path in saved.rglob('*'))
    mount = ['mount', '-t', 'tmpfs', '-o', f'size={int(TOO_SMALL * size)}']
    mount += ['tmpfs', str(workdir.parent)]
    if os.geteuid() or subprocess.run(mount).returncode:
      self._row('disk full: not tried, mounting takes root', 0, *'–––', True)
      return
    try:
      training = Training(workdir)
      status = training.end()
      (*_, last) = training.log.strip().splitlines()
      said = status == 1 and last.startswith('error: ')
      lost = done(workdir) - newest(workdir)
      larger = ['mount', '-o', 'remount,size=200M', str(workdir.parent)]
      subprocess.run(larger, check=True)
      equal = said and self._equal(workdir)
      self._row('disk full', 1, int(said), '–', lost, equal)
    finally:
      subprocess.run(['umount', str(workdir.parent)], check=True)

  def second_training(self) -> None:
    """Two in one workdir."""
    workdir = self._folder / 'shared'
    with lock.held(str(workdir)):
      training = Training(workdir)
      said = training.end() == 2 and 'in use by another' in training.log
    equal = said and self._equal(workdir)
    self._row('second training in a workdir', 1, int(said), '–', 0, equal)


def main() -> int:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--minutes', type=float, default=20.0)
  parser.add_argument('--seed', type=int, default=0)
  args = parser.parse_args()
  logging.disable()  # each fault is said; the table counts them
  deadline = time.monotonic() + 60 * args.minutes
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
  text = table.page(
    '# Faults, and what is left of a training after them',
    f'`make soak` on {hardware.machine()}, {time.strftime("%Y-%m-%d")}.',
    _EXPLAINED.format(steps=STEPS, seed=args.seed),
    ['fault', 'tried', 'detected', 'harmless', 'steps lost', 'equal end'],
    soak.rows,
    [table.versions(sys.executable)],
  )
  print(text)
  (commands.ROOT / 'benchmarks' / 'soak.md').write_text(text)
  return 0 if soak.sound else 1


if __name__ == '__main__':
  sys.exit(main())

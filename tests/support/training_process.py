"""Trains a tiny network deterministically, by main.py in a process."""

import contextlib
import pathlib
import re
import signal
import subprocess
import time

from inception_jax.checkpointing import checkpoint
from inception_jax.checkpointing import lookup
from inception_jax.checkpointing.checkpoint import DamagedCheckpoint
from inception_jax.checkpointing.directory import CheckpointDirectory
from tests.support import commands
from tests.support.forks import Fork

STEPS = 60


def arguments(workdir, **changes) -> list[str]:
  """Returns main.py's arguments; `changes` are config keys, '__' for '.'."""
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
  """Runs main.py in a process, with its log in a file."""

  def __init__(
    self,
    workdir: pathlib.Path,
    cache='',
    place=(),
    imports: bool = False,
    **changes,
  ):
    """Starts.

    Args:
      workdir: of the training.
      cache: folder of compiled programs in place of the user's.
      place: flags of one of several processes, its index last.
      imports: whether the process imports the libraries, as a user's; else it
        is a fork that has them, which takes a third of the time.
      **changes: as for `arguments`.
    """
    # Beside the workdir, which may be a full disk.
    self._log = workdir.with_name(f'{workdir.name}{"".join(place[-1:])}.log')
    args = [*arguments(workdir, **changes), *place]
    args += [f'--compilation_cache={cache}'] * bool(cache)
    program = ('-m', 'tests.support.tiny')
    with open(self._log, 'w') as file:
      if imports:
        kwargs = commands.command(*args, program=program)
        kwargs.update(stdout=subprocess.DEVNULL, stderr=file)
        self.process = subprocess.Popen(**kwargs)
      else:
        self.process = commands.start(
          *args, program=program, stderr=file.fileno()
        )

  @property
  def log(self) -> str:
    """The log so far."""
    return self._log.read_text()

  def wait_for_log(self, text: str) -> bool:
    """Waits for a text in the log; returns False if the process ends first."""
    while text not in self.log:
      if self.process.poll() is not None:
        return text in self.log
      time.sleep(0.005)
    return True

  def wait_for_handler(self) -> None:
    """Waits until the process has a handler for SIGTERM, or ends."""
    status = pathlib.Path(f'/proc/{self.process.pid}/status')
    while self.process.poll() is None:
      caught = re.search(r'SigCgt:\s*(\w+)', status.read_text())[1]
      if int(caught, 16) >> (signal.SIGTERM - 1) & 1:
        return
      time.sleep(0.005)

  def wait(self, timeout: float | None = None) -> int:
    """Waits for the exit status."""
    status = self.process.wait(timeout)
    if isinstance(self.process, Fork):
      self.process.end()
    return status


def newest_valid(workdir: pathlib.Path) -> int:
  """Returns the step of the newest valid checkpoint; 0 if there is none."""
  history = CheckpointDirectory(lookup.checkpoint_folder(str(workdir)))
  for step in reversed(history.steps()):
    with contextlib.suppress(DamagedCheckpoint):
      history.read_step(step, checkpoint.state_fields)
      return step
  return 0


def steps_done(workdir: pathlib.Path) -> int:
  """Returns the number of training steps in metrics.jsonl."""
  path = workdir / 'metrics.jsonl'
  text = path.read_text() if path.exists() else ''
  return text.count('"split": "train"')


def finish(workdir: pathlib.Path, **changes) -> dict[str, str]:
  """Trains to the end; returns the final state's digests by leaf."""
  training = Training(workdir, **changes)
  if training.wait():
    raise RuntimeError(f'training failed:\n{training.log[-2000:]}')
  return final_state(workdir)


def final_state(workdir: pathlib.Path) -> dict[str, str]:
  """Returns the digests of the last step's checkpoint by leaf."""
  history = CheckpointDirectory(lookup.checkpoint_folder(str(workdir)))
  history.read_step(STEPS, checkpoint.state_fields)
  leaves = history.record(STEPS)['leaves']
  return {name: leaf['sha256'] for name, leaf in leaves.items()}

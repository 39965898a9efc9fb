"""Injects faults into a training whose run is in a bucket.

  make soak-bucket                            # and benchmarks/soak_bucket.md
  make soak-bucket ARGS='--kills=100 --seed=7'

main.py trains a tiny network to the same step, in a bucket of an object server
on this machine, of whose requests 1 % fail and each takes five milliseconds
longer: killed at random moments and started again with the local folders of one
of three machines; interrupted by SIGTERM; two at the same time; and while no
request succeeds for some seconds. Exit status 1 if a checkpoint that the bucket
had is lost or damaged, if two train at once, or if a final state differs in a
bit from that of an undisturbed training in a local folder.
"""

import argparse
import contextlib
import logging
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np

from inception_jax.buckets import runs
from inception_jax.buckets.bucket import Bucket
from inception_jax.checkpointing import checkpoint
from inception_jax.checkpointing import lookup
from inception_jax.checkpointing.directory import CheckpointDirectory
from inception_jax.runtime import hardware
from inception_jax.runtime import preemption
from tests.parity import table
from tests.support import commands
from tests.support import object_server
from tests.support.training_process import STEPS
from tests.support.training_process import arguments
from tests.support.training_process import final_state
from tests.support.training_process import finish

MACHINES = 3
FAILURES, LATENCY = 0.01, 0.005
_OUTAGE = 10.0  # seconds
_EXPLAINED = """\
A network of eight convolutions trains for {steps} steps and saves a checkpoint
every third step. The bucket is that of an object server on this machine, of
whose requests {failures:g} % fail and each takes {latency:g} ms longer; it gets
what has changed every {publish:g} s. After each kill, every checkpoint that is
complete in the bucket is read and compared with its digests, and the newest
must be as new as before. Each start has the local folders of one of {machines}
machines. Final states are compared by the SHA-256 of every array with that of
a training in a local folder. Seed {seed}.
"""


def often():
  """Copies what has changed to the bucket twice a second."""
  runs.PUBLISH = 0.5


class Soak:
  """Injects faults; each method adds a row to the table."""

  def __init__(self, folder: pathlib.Path, server, seed: int):
    self._folder, self._server = folder, server
    self._random = np.random.default_rng(seed)
    begin = time.monotonic()
    self._expected = finish(folder / 'straight')
    self._seconds = time.monotonic() - begin
    self.rows, self.passed = [], True

  def kills(self, count: int) -> None:
    """Sends SIGKILL at random moments."""
    self._ends('SIGKILL', count, signal.SIGKILL, -signal.SIGKILL)

  def signals(self, count: int) -> None:
    """Sends SIGTERM at random moments."""
    self._ends('SIGTERM', count, signal.SIGTERM, preemption.STATUS)

  def _ends(self, name: str, count: int, number: int, expected: int) -> None:
    url = f'gs://{object_server.BUCKET}/{name.lower()}'
    tried = ends = 0
    equal, saved = True, []
    while tried < count:
      process = self._train(url)
      with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(self._random.uniform(1.0, self._seconds))
      if process.poll() is None:
        process.send_signal(number)
        status = self._wait(process)
        tried += 1
      else:
        status = self._wait(process)
      if status == 0:
        equal &= self._state(url) == self._expected
        ends += 1
        url, saved = f'{url}+', []
        continue
      equal &= status == expected
      now = self._sound(url)
      equal &= not saved or (bool(now) and now[-1] >= saved[-1])
      saved = now
    equal &= self._wait(self._train(url)) == 0
    equal &= self._state(url) == self._expected
    self._row(f'{name} ({ends + 1} completed runs)', tried, equal)

  def two_trainings(self, count: int) -> None:
    """Starts two at once: one trains, the other is refused."""
    equal, refused = True, 0
    for i in range(count):
      url = f'gs://{object_server.BUCKET}/two-{i}'
      pair = [self._train(url, machine) for machine in range(2)]
      statuses = sorted(map(self._wait, pair))
      # One that starts when the other has ended finds a complete run.
      equal &= statuses in ([0, 2], [0, 0])
      refused += statuses == [0, 2]
      equal &= self._state(url) == self._expected
    self._row(f'two trainings at once ({refused} refused)', count, equal)

  def outages(self, count: int) -> None:
    """Lets every request fail for some seconds."""
    equal = True
    for i in range(count):
      url = f'gs://{object_server.BUCKET}/outage-{i}'
      process = self._train(url)
      with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(self._random.uniform(1.0, self._seconds))
      self._server.failures = 1.0
      time.sleep(_OUTAGE)
      self._server.failures = FAILURES
      equal &= self._wait(process) == 0
      equal &= self._state(url) == self._expected
    self._row(f'no request succeeds for {_OUTAGE:g} s', count, equal)

  def _train(self, url: str, machine: int | None = None):
    if machine is None:
      machine = int(self._random.integers(MACHINES))
    os.environ['INCEPTION_JAX_BUCKETS'] = str(self._folder / str(machine))
    program = ('-m', 'tests.support.tiny')
    # What it logs is not read.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
      return commands.start(
        *arguments(url), program=program, prepare=often, stderr=nowhere
      )
    finally:
      os.close(nowhere)

  def _wait(self, process) -> int:
    status = process.wait(600)
    process.end()
    return status

  def _sound(self, url: str) -> list[int]:
    """Returns the steps in the bucket; raises if one is damaged."""
    history = CheckpointDirectory(lookup.checkpoint_folder(runs.local(url)))
    complete = [
      step
      for step in history.steps()
      if checkpoint.is_checkpoint(history.path(step))
    ]
    for step in complete:
      history.read_step(step, checkpoint.state_fields)
    runs.close()
    return complete

  def _state(self, url: str) -> dict[str, str]:
    state = final_state(pathlib.Path(runs.local(url)))
    assert '.lock' not in Bucket(url).names()
    runs.close()
    return state

  def _row(self, fault: str, tried: int, equal: bool) -> None:
    self.passed &= equal
    self.rows.append(f'| {fault} | {tried} | {"yes" if equal else "**NO**"} |')
    print(f'{time.ctime()} {self.rows[-1]}', file=sys.stderr, flush=True)


def main() -> int:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--kills', type=int, default=25)
  parser.add_argument('--others', type=int, default=5, help='of each kind')
  parser.add_argument('--seed', type=int, default=0)
  args = parser.parse_args()
  logging.disable()
  started = time.monotonic()
  with (
    tempfile.TemporaryDirectory() as folder,
    object_server.google() as server,
  ):
    os.environ.update(server.environment)
    server.failures, server.latency = FAILURES, LATENCY
    soak = Soak(pathlib.Path(folder), server, args.seed)
    soak.kills(args.kills)
    soak.signals(args.others)
    soak.two_trainings(args.others)
    soak.outages(args.others)
  minutes = (time.monotonic() - started) / 60
  often()
  text = table.page(
    '# Fault injection: a training whose run is in a bucket',
    f'`make soak-bucket` on {hardware.machine()}, {time.strftime("%Y-%m-%d")}, '
    f'{minutes:.0f} minutes; of {len(server.requests)} requests, '
    f'{server.failed} failed.',
    _EXPLAINED.format(
      steps=STEPS,
      failures=100 * FAILURES,
      latency=1000 * LATENCY,
      publish=runs.PUBLISH,
      machines=MACHINES,
      seed=args.seed,
    ),
    ['fault', 'tried', 'nothing lost, same state'],
    soak.rows,
    [table.versions(sys.executable)],
  )
  print(text)
  (commands.ROOT / 'benchmarks' / 'soak_bucket.md').write_text(text)
  return 0 if soak.passed else 1


if __name__ == '__main__':
  sys.exit(main())

"""A pod on one machine: four hosts train on data and a run in a bucket.

  make soak-pod                               # and benchmarks/soak_pod.md

launch/ssh.sh starts one process on each host, a network namespace with a disk
of its own; an object server is their bucket, whose requests fail at times. One
host is slow, loses its processes or its network; all lose their processes, and
another host becomes the first; two hosts go on in place of four. Exit status 1
if the final state is not that of an undisturbed training.
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
from PIL import Image

from inception_jax.buckets import runs
from inception_jax.buckets.bucket import Bucket
from inception_jax.checkpointing import checkpoint
from inception_jax.checkpointing import lookup
from inception_jax.checkpointing.directory import CheckpointDirectory
from inception_jax.runtime import hardware
from inception_jax.runtime import metrics_file
from inception_jax.runtime import preemption
from tests.parity import table
from tests.support import commands
from tests.support import object_server
from tests.support import uploads
from tests.support.hosts import hosts
from tests.support.pod import TRAIN_SECONDS
from tests.support.pod import Pod
from tests.support.training_process import arguments

HOSTS, DEVICES = 4, 8
STEPS = 120
FAILURES, LATENCY = 0.01, 0.005
_DATA = f'gs://{object_server.BUCKET}/data'
_EXPLAINED = """\
A network of three convolutions trains for {steps} steps on {devices} devices of
four hosts, each a network namespace with a disk of its own, on PNG files in the
bucket that also has the run; a checkpoint every tenth step. Of the requests,
{failures:g} % fail and each takes {latency:g} ms longer. `launch/ssh.sh` starts
the processes and restarts them. "Same": the SHA-256 of every array of the last
checkpoint and every line of metrics but for times are those of the undisturbed
training; other numbers are the largest difference of a loss.
"""


class Soak:
  """Injects faults; each method adds a row to the table."""

  def __init__(self, folder: pathlib.Path, pod: Pod):
    self._folder, self._pod = folder, pod
    self.rows, self.passed = [], True

  def undisturbed(self) -> None:
    """Trains by four hosts, and by one process on a disk, for comparison."""
    self._pod.finish(self._start('straight'), 'straight')
    self._expected = self._result('straight')
    local = self._folder / 'local'
    done = commands.run(
      *_arguments(local, str(self._folder / 'data')),
      devices=DEVICES,
      program=('-m', 'tests.support.tiny'),
    )
    assert done.returncode == 0, done.stderr
    far = self._difference(_result(str(local)))
    self._row('none; and one process on a disk', 0, '', far <= 1e-4, far)

  def slow(self) -> None:
    """Stops the process of one host for seconds, again and again."""
    process, stops = self._start('slow'), 0
    self._pod.wait_for_step(process, 'slow', 5)
    while process.poll() is None:
      self._pod.send_signal(1, signal.SIGSTOP)
      time.sleep(2)
      self._pod.send_signal(1, signal.SIGCONT)
      stops += 1
      time.sleep(2)
    self._pod.finish(process, 'slow')
    self._compare(f'one host stands still for 2 s, {stops} times', 'slow')

  def lost(self, host: int) -> None:
    """Kills all processes of a host."""
    name = f'lost-{host}'
    process = self._start(name)
    self._pod.wait_for_step(process, name, STEPS // 2)
    self._pod.send_signal(host, signal.SIGKILL)
    self._pod.finish(process, name)
    self._compare(f'processes of host {host} are killed', name)

  def unreachable(self) -> None:
    """Takes the network of a host away, for longer than others wait."""
    process = self._start('unreachable')
    self._pod.wait_for_step(process, 'unreachable', STEPS // 2)
    down = self._folder / 'down-host2'
    down.touch()
    link = ('ip', '-n', self._pod.namespaces[2], 'link', 'set', 'eth0')
    subprocess.run((*link, 'down'), check=True)
    self._pod.wait_for_log(process, 'unreachable', 'restart 1 of')
    subprocess.run((*link, 'up'), check=True)
    down.unlink()
    self._pod.finish(process, 'unreachable')
    self._compare('host 2 has no network until the others end', 'unreachable')

  def replaced(self) -> None:
    """Kills all, and goes on where the first process is on another host."""
    name = 'replaced'
    process = self._start(name)
    self._pod.wait_for_step(process, name, STEPS // 2)
    process.kill()
    for host in range(HOSTS):
      self._pod.send_signal(host, signal.SIGKILL)
    process.wait()
    self._pod.finish(self._start(name, [1, 2, 3, 0]), name)
    self._compare('all are killed; process 0 is on another host then', name)

  def fewer(self) -> None:
    """Goes on with two hosts of four devices each."""
    name = 'fewer'
    process = self._start(name)
    self._pod.wait_for_step(process, name, STEPS // 2)
    process.send_signal(signal.SIGTERM)
    status = process.wait(TRAIN_SECONDS)
    assert status == preemption.STATUS, self._pod.log(name)
    self._pod.finish(self._start(name, [3, 1]), name)
    far = self._difference(self._result(name))
    restarts = self._pod.restarts(name)
    self._row('SIGTERM, then two hosts', restarts, '', far <= 1e-4, far)

  def _start(self, name: str, on=range(HOSTS)):
    return self._pod.start(name, _arguments(_url(name), _DATA), on)

  def _result(self, name: str):
    found = _result(runs.local(_url(name)))
    assert '.lock' not in Bucket(_url(name)).names()
    runs.close()
    return found

  def _compare(self, fault: str, name: str) -> None:
    same = self._result(name) == self._expected
    self._row(fault, self._pod.restarts(name), 'same' if same else '', same)

  def _difference(self, found) -> float:
    """Returns the largest difference of a loss; inf if a step is missing."""
    lines, expected = found[1], self._expected[1]
    if lines.keys() != expected.keys():
      return float('inf')
    counts = lambda found: [found[k].get('count') for k in expected]
    if counts(lines) != counts(expected):
      return float('inf')
    return max(abs(lines[k]['loss'] - x['loss']) for k, x in expected.items())

  def _row(self, fault, restarts, same, passed: bool, far=None) -> None:
    self.passed &= passed
    end = same if far is None else f'{far:.1e}'
    self.rows.append(f'| {fault} | {restarts} | {end or "**NO**"} |')
    print(f'{time.ctime()} {self.rows[-1]}', file=sys.stderr, flush=True)


def _url(name: str) -> str:
  return f'gs://{object_server.BUCKET}/pod/{name}'


def _arguments(workdir, data: str) -> list[str]:
  return arguments(
    workdir,
    model__name='tiniest',
    model__aux_head=False,
    ema_decay=0.0,
    batch_size=16,
    train_for=f'{STEPS} steps',
    checkpoint_every='10 steps',
    eval_every=f'{STEPS // 2} steps',
    data__source='folder',
    data__dir=data,
    data__eval_split='validation',
  )


def _result(workdir: str):
  """Returns digests of the last state by leaf, and the lines of metrics."""
  history = CheckpointDirectory(lookup.checkpoint_folder(workdir))
  history.read_step(STEPS, checkpoint.state_fields)
  leaves = history.record(STEPS)['leaves']
  lines = {
    (line['step'], line['split']): {
      key: value for key, value in line.items() if key not in metrics_file.TIMES
    }
    for line in metrics_file.read(workdir)
  }
  steps = [step for step, split in lines if split == 'train']
  assert steps == [*range(1, STEPS + 1)], steps
  return {name: leaf['sha256'] for name, leaf in leaves.items()}, lines


def write_images(folder: pathlib.Path) -> None:
  """Writes images of ten classes, whose brightness tells them apart."""
  random = np.random.default_rng(0)
  for split, count in (('train', 160), ('validation', 45)):
    for i in range(count):
      pixels = random.integers(0, 60, (12, 12, 3)) + 18 * (i % 10)
      path = folder / split / f'class{i % 10}' / f'{i}.png'
      path.parent.mkdir(parents=True, exist_ok=True)
      Image.fromarray(pixels.astype(np.uint8)).save(path)


def main() -> int:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--only', default='', help='a fault, by its method')
  args = parser.parse_args()
  logging.disable()
  started = time.monotonic()
  with contextlib.ExitStack() as stack:
    folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
    created = stack.enter_context(hosts(HOSTS, folder, gateway=True))
    if not created.namespaces:
      print('error: network namespaces need root, and ip', file=sys.stderr)
      return 2
    server = stack.enter_context(object_server.google(created.gateway))
    os.environ.update(server.environment)
    write_images(folder / 'data')
    uploads.upload(folder / 'data', _DATA)
    server.failures, server.latency = FAILURES, LATENCY
    soak = Soak(folder, Pod(folder, created.namespaces, DEVICES))
    faults = {
      'slow': soak.slow,
      'lost': lambda: (soak.lost(1), soak.lost(0)),
      'unreachable': soak.unreachable,
      'replaced': soak.replaced,
      'fewer': soak.fewer,
    }
    soak.undisturbed()
    for name, fault in faults.items():
      if args.only in ('', name):
        fault()
    requests, failed = len(server.requests), server.failed
  minutes = (time.monotonic() - started) / 60
  text = table.page(
    '# Fault injection: a pod on one machine, data and run in a bucket',
    f'`make soak-pod` on {hardware.machine()}, {time.strftime("%Y-%m-%d")}, '
    f'{minutes:.0f} minutes; of {requests} requests, {failed} failed.',
    _EXPLAINED.format(
      steps=STEPS,
      devices=DEVICES,
      failures=100 * FAILURES,
      latency=1000 * LATENCY,
    ),
    ['fault', 'restarts', 'result'],
    soak.rows,
    [table.versions(sys.executable)],
  )
  print(text)
  if not args.only:
    (commands.ROOT / 'benchmarks' / 'soak_pod.md').write_text(text)
  return 0 if soak.passed else 1


if __name__ == '__main__':
  sys.exit(main())

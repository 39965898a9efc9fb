"""Checks every checkpoint of a run, each array against its digest.

  python -m inception_jax.tools.verify --workdir=runs/digits [--repair]

With --repair, damaged checkpoints are set aside (renamed to STEP.damaged), so
that what reads the run takes the newest sound one. Result: `sound` and
`damaged` (steps), `reasons`, `repaired`, `bad_lines` (of metrics.jsonl that
are no JSON). Exit status 1 if anything is damaged, repaired or not.
"""

import logging
import os
import time

from absl import flags

from inception_jax.errors import UserError
from inception_jax.runtime import cli

_WORKDIR = flags.DEFINE_string('workdir', '', 'The folder of the run.')

_REPAIR = flags.DEFINE_bool('repair', False, 'Sets damaged ones aside.')

LOG_SECONDS = 5

log = logging.getLogger(__name__)


def main():
  """Checks all of them before it changes any."""
  workdir = os.path.expanduser(_WORKDIR.value)
  if not workdir:
    raise UserError('--workdir is missing: the folder of the run to check')

  from inception_jax.checkpointing import checkpoint
  from inception_jax.checkpointing import lookup
  from inception_jax.checkpointing.directory import CheckpointDirectory
  from inception_jax.runtime import lock
  from inception_jax.runtime import metrics_file

  if not lookup.has_checkpoints(workdir):
    raise UserError(f'no checkpoint in {lookup.checkpoint_folder(workdir)}')
  history = CheckpointDirectory(lookup.checkpoint_folder(workdir))
  steps, reasons = history.steps(), {}
  start = logged = time.monotonic()
  for i, step in enumerate(steps):
    if (now := time.monotonic()) - logged > LOG_SECONDS:
      logged, left = now, (now - start) * (len(steps) - i) / i
      log.info('checked %d of %d, %.0f s left', i, len(steps), left)
    try:
      history.read_one(step, checkpoint.state_fields)
    except checkpoint.DamagedCheckpoint as error:
      reasons[step] = str(error)
      log.error('%s', error)
  if reasons and _REPAIR.value:
    with lock.held(workdir):  # not under the hands of a training
      for step in reasons:
        log.warning('set aside as %s', history.set_aside(step))
  return {
    'sound': [step for step in steps if step not in reasons],
    'damaged': sorted(reasons),
    'reasons': reasons,
    'repaired': bool(reasons) and _REPAIR.value,
    'bad_lines': metrics_file.bad_lines(workdir),
  }


def status(result) -> int:
  """Of the command."""
  return int(bool(result['damaged'] or result['bad_lines']))


if __name__ == '__main__':
  cli.run(main, status)

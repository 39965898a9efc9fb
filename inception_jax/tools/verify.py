"""Verifies a run's checkpoints and metrics, by their digests and checksums.

  python -m inception_jax.tools.verify RUN [--repair]

--workdir= can name the run, too. With --repair, damaged checkpoints are renamed
to STEP.damaged, so that resumes and evaluations use the newest sound one, and
damaged lines of metrics.jsonl are moved to metrics.jsonl.damaged; scores that a
checkpoint has recorded are added again. Result: `sound` and `damaged` (steps),
`reasons`, `repaired`, and the numbers of the damaged lines as `bad_lines`.
Exit status 1 if anything is damaged, repaired or not.
"""

import logging
import os

from absl import flags
from etils import epath

from inception_jax.errors import UserError
from inception_jax.runtime import cli

_WORKDIR = cli.define_paths('workdir', 'The run, as the word.')
_REPAIR = flags.DEFINE_bool(
  'repair', False, 'Rename damaged checkpoints, move damaged lines.'
)

log = logging.getLogger(__name__)


def main(words: list[str]):
  """Verifies a run, then moves what is damaged aside."""
  workdirs = cli.paths_of(_WORKDIR, words)
  if len(workdirs) != 1:
    raise UserError(f'{len(workdirs)} runs are named: verify takes one RUN')
  (workdir,) = workdirs

  from inception_jax.checkpointing import lookup
  from inception_jax.checkpointing.directory import CheckpointDirectory
  from inception_jax.runtime import lock
  from inception_jax.runtime import metrics_file

  cli.use_cpu()
  folder = lookup.checkpoint_folder(workdir)
  if not lookup.has_checkpoints(workdir):
    raise UserError(f'no checkpoint in {folder}')
  directory = CheckpointDirectory(folder)
  sound, reasons = _verify(directory)
  metrics = epath.Path(workdir) / metrics_file.NAME
  bad_lines = metrics_file.log_damage(metrics)
  repair = _REPAIR.value and bool(reasons or bad_lines)
  if repair:
    with lock.held(workdir):  # not while a training uses the folder
      for step in reasons:
        log.warning(
          'renamed a damaged checkpoint to %s', directory.mark_damaged(step)
        )
      scores = {step: directory.metrics(step) for step in directory.steps()}
      metrics_file.repair(metrics, scores)
  return {
    'sound': sound,
    'damaged': sorted(reasons),
    'reasons': reasons,
    'repaired': repair,
    'bad_lines': bad_lines,
  }


def _verify(directory) -> tuple[list[int], dict[int, str]]:
  """Returns the sound steps, and why others are damaged, by step."""
  from inception_jax.checkpointing import checkpoint
  from inception_jax.runtime import progress_bar

  steps, sound, reasons = directory.steps(), [], {}
  for step in progress_bar.track(steps, len(steps), 'verifying', 'checkpoints'):
    try:
      directory.read_step(step, checkpoint.state_fields)
      sound.append(step)
    except checkpoint.DamagedCheckpoint as error:
      # Else a training that runs has deleted it by now.
      path = directory.path(step)
      if path.exists() or os.path.islink(path):
        reasons[step] = str(error)
        log.error('%s', error)
  return sound, reasons


if __name__ == '__main__':
  cli.run(
    main,
    lambda found: bool(found['damaged'] or found['bad_lines']),
    takes_paths=True,
  )

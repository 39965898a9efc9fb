"""Whether a training may go on from what an earlier one has left."""

import logging
from typing import Any

from inception_jax import errors
from inception_jax.config import differences

log = logging.getLogger(__name__)


def check(
  config,
  classes: tuple[str, ...],
  record: dict[str, Any],
  workdir: str,
  complete: bool,
) -> bool:
  """Names each key that is not as the run began; refuses what may not change.

  Args:
    config: the whole config, resolved.
    classes: of the data.
    record: of the checkpoint.
    workdir: of the run.
    complete: whether there is nothing left to train; then nothing is refused.

  Returns:
    Whether anything has changed.

  Raises:
    UserError: what has changed would make another training of it.
  """
  lines, refused = differences.check_changes(record['config'], config)
  for line in lines:
    log.warning('not as this run began: %s', line)
  if complete:
    return bool(lines)
  # Absent from what older versions saved.
  stored = record['network'].get('classes')
  if stored and tuple(stored) != tuple(classes):
    raise errors.UserError(
      f'{workdir} was trained on other classes, or in another order:',
      *errors.shorten(_differences(stored, classes)),
    )
  if refused:
    keys = ','.join(line.partition(':')[0] for line in refused)
    raise errors.UserError(
      f'{workdir} was trained otherwise; go back to that, take another '
      f'--workdir, or allow it by --config.allow_changed={keys}',
      *(f'  {line}' for line in refused),
    )
  return bool(lines)


def _differences(stored, now) -> list[str]:
  pairs = [
    (i, before, after)
    for i, (before, after) in enumerate(zip(stored, now, strict=False))
    if before != after
  ]
  lines = [f'  {i}: {before!r} → {after!r}' for i, before, after in pairs]
  if len(stored) != len(now):
    lines.append(f'  {len(stored)} → {len(now)} classes')
  return lines

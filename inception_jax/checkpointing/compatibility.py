"""Checks whether a training may resume from an earlier one's checkpoint."""

import logging
from typing import Any

from inception_jax import errors
from inception_jax.config import differences

log = logging.getLogger(__name__)

_KEPT = ', with other names, sizes, labels or content'


def check(
  config,
  classes: tuple[str, ...],
  data: dict[str, list],
  record: dict[str, Any],
  workdir: str,
  complete: bool,
) -> bool:
  """Logs the keys that changed since the run began; raises if they may not.

  `config` is resolved, `classes` the dataset's, `data` as `Run.data`, `record`
  the checkpoint's, and `workdir` is for messages. A `complete` training, which
  has no step left, accepts every change. Returns whether any key has changed.

  Raises:
    UserError: a change would make this a different training.
  """
  lines, refused = differences.check_changes(record['config'], config)
  for line in lines:
    log.warning('changed since this run began: %s', line)
  # The first checkpoints have no digests.
  for name, before in (record.get('data') or {}).items():
    if (now := data.get(name, before)) != before:
      log.warning(
        '%d %s, %d when the checkpoint was saved%s: the training goes on with '
        'them, in an order of their own; for the same training, restore the '
        'files, and for a new one choose another --workdir',
        *(now[0], name, before[0], _KEPT if now[0] == before[0] else ''),
      )
  if complete:
    return bool(lines)
  # The first checkpoints have no classes.
  stored = tuple(record['network'].get('classes') or ())
  # Lists of images had numbers for names before they had those of folders.
  is_nameless = stored == tuple(map(str, range(len(classes))))
  if stored and stored != tuple(classes) and not is_nameless:
    raise errors.UserError(
      f'{workdir} was trained on other classes, or in another order:',
      *errors.shorten(_class_differences(stored, classes)),
    )
  if refused:
    keys = ','.join(line.partition(':')[0] for line in refused)
    raise errors.UserError(
      f'{workdir} was trained with other values; restore them, choose another '
      f'--workdir, or accept the changes by --config.allow_changed={keys}',
      *(f'  {line}' for line in refused),
    )
  return bool(lines)


def _class_differences(stored, now) -> list[str]:
  lines = [
    f'  {i}: {before!r} → {after!r}'
    for i, (before, after) in enumerate(zip(stored, now, strict=False))
    if before != after
  ]
  if len(stored) != len(now):
    lines.append(f'  {len(stored)} → {len(now)} classes')
  return lines

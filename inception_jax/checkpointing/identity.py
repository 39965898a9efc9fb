"""The identity of a run: in its workdir, and in each of its checkpoints.

It tells a checkpoint that was copied from another run, even one with the same
network and config.
"""

import json
import logging
from typing import Any
import uuid

from etils import epath

from inception_jax import errors
from inception_jax import inputs
from inception_jax.checkpointing import digests
from inception_jax.runtime import files

log = logging.getLogger(__name__)

FILE = 'run_id'


def read(workdir: epath.Path) -> str:
  """Returns the identity of a run; '' if it has none, or a damaged one."""
  path = workdir / FILE
  try:
    stored = inputs.parse_json(files.read(str(path)))
    if digests.with_digest(stored['values']) != stored:
      raise ValueError('it has changed since it was written')
    return str(stored['values'])
  except FileNotFoundError:
    return ''
  except (OSError, ValueError, KeyError, TypeError) as error:
    log.warning('%s cannot be read: %s', path, errors.one_line(error))
    return ''


def other_run(workdir: epath.Path, record: dict[str, Any]) -> str:
  """Returns what is wrong if a checkpoint is of another run, or ''.

  Runs and checkpoints of earlier versions have no identity.
  """
  own, of_record = read(workdir), record.get('run', '')
  if not (own and of_record) or own == of_record:
    return ''
  return f'was saved by another run ({of_record}) than {workdir} ({own})'


def establish(workdir: epath.Path, resumed: dict[str, Any]) -> str:
  """Returns the identity of a run; writes it if the run has none.

  It is then that of the checkpoint from which the run resumed, whose record is
  `resumed`, or a new one if that is {} or has none.
  """
  identity = read(workdir)
  if not identity:
    identity = resumed.get('run') or uuid.uuid4().hex
    text = json.dumps(digests.with_digest(identity))
    files.atomic_write(workdir / FILE, text)
  return identity

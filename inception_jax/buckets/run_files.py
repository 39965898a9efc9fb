"""Which files of a run are large, written last, or of no use elsewhere."""

from collections.abc import Iterable
import fnmatch
import posixpath

# orbax writes it into each checkpoint: with it, a checkpoint is complete.
MARKER = '_CHECKPOINT_METADATA'
# Large, and read only where they are needed: see `mirror.fetch`.
_LATER = ('checkpoints/*/state/*',)
# Never read back: the curves of TensorBoard and traces of the profiler.
_NEVER = ('*events.out.tfevents.*', 'plugins/profile/*')
# Not whole yet, about to be removed, or of the local folder itself.
_UNFINISHED = ('*orbax-checkpoint-tmp*', '*.unfinished', 'unfinished-*')
_UNFINISHED += ('*.deleted', '*.deleted-*', '.trial-*', '.lock', '.mirror*')


def is_read_first(name: str) -> bool:
  """Returns whether each copy of a run has this file from the start."""
  return not _matches(name, (*_LATER, *_NEVER))


def is_unfinished(name: str) -> bool:
  """Returns whether a file or folder of this name is not to be copied."""
  return _matches(name, _UNFINISHED)


def incomplete(names: Iterable[str]) -> list[str]:
  """Returns those of a run's files that are of checkpoints without marker.

  A copy or deletion was interrupted.
  """
  steps: dict[str, list[str]] = {}
  for name in names:
    root, _, rest = name.partition('/')
    step, inside, _ = rest.partition('/')
    if root == 'checkpoints' and inside:
      steps.setdefault(posixpath.join(root, step), []).append(name)
  return [
    name
    for step, found in steps.items()
    if f'{step}/{MARKER}' not in found
    for name in found
  ]


def _matches(name: str, patterns: Iterable[str]) -> bool:
  return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)

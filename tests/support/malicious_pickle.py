"""A pickle that runs code when it is loaded without restrictions."""

from tests.support.commands import run


class MaliciousPickle:
  """Creates a file when it is unpickled."""

  def __init__(self, path: str):
    self._path = path

  def __reduce__(self):
    return open, (self._path, 'w')


def check_import_is_refused(folder) -> str:
  """Checks that importing such a .pth runs nothing; returns a summary."""
  import torch

  file, trace, output = (folder / name for name in ('x.pth', 'trace', 'out'))
  torch.save({'conv.weight': MaliciousPickle(str(trace))}, file)
  trace.unlink(missing_ok=True)
  done = run(
    f'--weights={file}',
    f'--output={output}',
    program=('-m', 'inception_jax.tools.import_weights'),
  )
  (line,) = done.stderr.splitlines()
  assert done.returncode == 2 and line.startswith('error: '), done
  assert not trace.exists() and not output.exists(), line
  return 'a .pth that would run code: exit 2, nothing run, nothing written'

"""A pickle that runs code where it is loaded carelessly."""

from tests.support.commands import run


class RunsCode:
  """Writes a file when it is unpickled."""

  def __init__(self, path: str):
    self._path = path

  def __reduce__(self):
    return open, (self._path, 'w')


def hostile_pickle(folder) -> str:
  """Imports a .pth that would write a file, and says that it did not."""
  import torch

  file, trace, output = (folder / name for name in ('x.pth', 'trace', 'out'))
  torch.save({'conv.weight': RunsCode(str(trace))}, file)
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

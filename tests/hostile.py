"""A pickle that runs code where it is loaded carelessly."""


class RunsCode:
  """Writes a file when it is unpickled."""

  def __init__(self, path: str):
    self._path = path

  def __reduce__(self):
    return open, (self._path, 'w')

"""Notebooks of docs/: their cells, run without Jupyter."""

import json
import pathlib
import re
import shlex

from tests.support import run_page


def read(path: pathlib.Path) -> dict:
  return json.loads(path.read_text())


def source(cell: dict) -> str:
  return ''.join(cell['source'])


def run(cells: list[dict], folder: pathlib.Path) -> dict:
  """Runs code cells in order in the working folder; returns their names.

  A line `!COMMAND` is run there as Jupyter's shell does, with names in braces
  replaced by their values.
  """
  names = {'__name__': '__main__'}
  for cell in cells:
    code = source(cell).replace('\\\n', ' ')
    code = re.sub(r'^!(.+)$', r"_command('''\1''')", code, flags=re.M)

    def command(line):
      words = [word.format(**names) for word in shlex.split(line)]
      fault = run_page.fault_of(words, folder)
      assert not fault, fault

    names['_command'] = command
    exec(compile(code, cell['id'], 'exec'), names)
  return names

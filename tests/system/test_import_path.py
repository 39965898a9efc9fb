"""Modules in a folder of strangers' files are not imported."""

import os
import subprocess

from tests.support.commands import ROOT
from tests.support.commands import command
from tests.support.tar_files import tar


def test_a_command_imports_nothing_from_where_it_runs_or_unpacks(tmp_path):
  for name in ('tensorflow', 'numpy', 'absl', 'etils', 'tqdm', 'configs'):
    (tmp_path / f'{name}.py').write_text('open("trace", "w")')
  (tmp_path / 'tensorflow.tar').write_bytes(tar([('__init__.py', b'x')]))
  data = tmp_path / 'data'
  data.mkdir()
  start = command(
    '--source=folder',
    f'--data_dir={data}',
    '--archive=tensorflow.tar',
    program=('-m', 'inception_jax.tools.prepare'),
    cwd=tmp_path,
  )
  start['env']['PYTHONPATH'] = f'{ROOT}:{data}'
  done = subprocess.run(**start)
  assert done.returncode == 2, done.stderr
  (line,) = done.stderr.splitlines()
  assert f'--data_dir={data}: Python looks for modules there' in line
  assert not (tmp_path / 'trace').exists() and not os.listdir(data)


def test_a_program_that_uses_the_library_keeps_its_import_path(tmp_path):
  (tmp_path / 'mine').mkdir()
  (tmp_path / 'mine' / '__init__.py').write_text('import inception_jax')
  (tmp_path / 'mine' / 'tool.py').write_text('import helper')
  (tmp_path / 'helper.py').write_text('print("imported")')
  done = subprocess.run(**command(program=('-m', 'mine.tool'), cwd=tmp_path))
  assert done.stdout == 'imported\n', done.stderr

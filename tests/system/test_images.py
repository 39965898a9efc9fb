"""The images of launch/ and of .devcontainer/, without building them."""

import fnmatch
from importlib import metadata
import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from tests.support.commands import ROOT

FILES = sorted((ROOT / 'launch').glob('Dockerfile*'))
LOCAL = ROOT / 'launch' / 'Dockerfile.local'
IGNORED = (ROOT / '.dockerignore').read_text().splitlines()
DEVCONTAINER = ROOT / '.devcontainer' / 'devcontainer.json'
of_each_image = pytest.mark.parametrize(
  'path', FILES, ids=lambda path: path.name
)


def instructions(path):
  """Returns (instruction, the rest) of each."""
  lines = [x for x in path.read_text().splitlines() if not x.startswith('#')]
  whole = '\n'.join(lines).replace('\\\n', ' ')
  return [tuple(x.split(maxsplit=1)) for x in whole.splitlines() if x]


def values(path, name):
  return [rest for key, rest in instructions(path) if key == name]


def copied(path):
  """Returns the names that an image copies into its folder."""
  return [name for rest in values(path, 'COPY') for name in rest.split()[:-1]]


def is_sent(name):
  """Whether the last rule of .dockerignore that matches a name takes it."""
  rules = [rule for rule in IGNORED if rule and not rule.startswith('#')]
  matching = [x for x in rules if fnmatch.fnmatchcase(name, x.lstrip('!'))]
  return not matching or matching[-1].startswith('!')


def python_of(path):
  (image,) = values(path, 'FROM')
  return re.fullmatch(r'python:(3\.\d+)\.\d+-slim-\w+', image)[1]


@of_each_image
def test_what_is_copied_exists_and_is_sent(path):
  names = copied(path)
  assert {'inception_jax', 'configs', 'main.py', 'constraints.txt'} <= {*names}
  assert [name for name in names if not (ROOT / name).exists()] == []
  assert [name for name in names if not is_sent(name)] == []
  assert not is_sent('tests') and not is_sent('.git') and not is_sent('runs')


@of_each_image
def test_pinned_requirements_are_installed(path):
  (install,) = [x for x in values(path, 'RUN') if x.startswith('pip install')]
  words = shlex.split(install)
  files = dict(re.findall(r'(-[rc]) (\S+)', ' '.join(words)))
  assert files['-c'] == 'constraints.txt'
  inner = re.findall(r'^-r (\S+)$', (ROOT / files['-r']).read_text(), re.M)
  assert 'requirements.txt' in (files['-r'], *inner)
  assert {*files.values(), *inner} <= {*copied(path)}


def test_all_images_have_the_same_python():
  assert len(FILES) > 1
  (version,) = {python_of(path) for path in FILES}
  image = json.loads(DEVCONTAINER.read_text())['image']
  assert re.fullmatch(rf'\S+/python:{re.escape(version)}-bookworm', image)


@pytest.mark.slow
@of_each_image
def test_entry_point_finds_all_it_needs(path, tmp_path):
  """In a folder with the copied files alone, up to an impossible config."""
  for name in copied(path):
    copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
    copy(ROOT / name, tmp_path / name)
  (entry,) = values(path, 'ENTRYPOINT')
  python, *words = json.loads(entry)
  assert python == 'python'
  is_main = words == ['main.py']
  words += ['--config=configs/digits.py'] if is_main else ['train']
  words += ['--workdir=run', '--config.batch_size=0']
  words += [] if is_main else ['--config=digits']
  done = subprocess.run(
    [sys.executable, *words],
    cwd=tmp_path,
    env={k: v for k, v in os.environ.items() if k != 'PYTHONPATH'},
    capture_output=True,
    text=True,
  )
  assert done.returncode == 2, done.stderr
  (line,) = [x for x in done.stderr.splitlines() if x.startswith('error: ')]
  assert 'batch_size=0' in line
  assert not (tmp_path / 'run').exists()


def test_local_image_is_of_a_user_who_can_write():
  user = values(LOCAL, 'USER')[-1]
  created = [x for x in values(LOCAL, 'RUN') if f' {user} ' in f'{x} ']
  assert len(created) == 1 and created[0].startswith('useradd --uid=1000 ')
  environment = ' '.join(values(LOCAL, 'ENV'))
  home = re.search(r'HOME=(\S+)', environment)[1]
  assert re.search(rf'mkdir --mode=1777 .*{home}', created[0])


def test_local_image_has_a_backend_of_jax():
  (default,) = values(LOCAL, 'ARG')
  name, value = default.split('=')
  named = re.findall(rf'{name}=(\w+)', LOCAL.read_text())
  assert {value, 'cuda13'} <= {*named}
  assert {*named} <= {*metadata.metadata('jax').get_all('Provides-Extra')}
  assert f'jax[${name}]' in LOCAL.read_text()


def test_local_image_has_the_malloc_of_make():
  installed = [x for x in values(LOCAL, 'RUN') if 'apt-get install' in x]
  (package,) = re.findall(r'(libtcmalloc\S+)', installed[0])
  makefile = (ROOT / 'Makefile').read_text()
  assert re.search(rf'install,{package}\)', makefile)
  assert 'LD_PRELOAD=libtcmalloc_minimal.so.4' in LOCAL.read_text()


def test_devcontainer_calls_make_with_rules_that_exist():
  content = json.loads(DEVCONTAINER.read_text())
  command = shlex.split(content['postCreateCommand'])
  assert command[0] == 'make'
  dry = [command[0], '--dry-run', *command[1:]]
  done = subprocess.run(dry, cwd=ROOT, capture_output=True, text=True)
  assert done.returncode == 0, done.stderr
  editor = content['customizations']['vscode']['settings']
  folder = command[1].partition('/')[0]
  assert editor['python.defaultInterpreterPath'] == f'{folder}/bin/python'

"""Pinned versions, the ranges of the package, and the Pythons of both."""

from importlib import metadata
import os
import pathlib
import re
import subprocess
import tomllib

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
import pytest
import yaml

ROOT = pathlib.Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
PYTHONS = ('3.11', '3.12', '3.13')


def applies(requirement, python):
  """Returns whether the marker is true, or missing."""
  marker = requirement.marker
  return marker is None or marker.evaluate({'python_version': python})


def pins(file, python):
  """Returns [(name, version)] of a file of requirements, for a Python."""
  lines = (ROOT / file).read_text().splitlines()
  found = []
  for line in lines:
    text = line.split('#')[0].strip()
    requirement = Requirement(text) if re.match(r'\w\S*==', text) else None
    if requirement and applies(requirement, python):
      (specifier,) = requirement.specifier
      found.append((canonicalize_name(requirement.name), specifier.version))
  return found


def ranges(python):
  """Returns {name: versions} of the package, extras included, for a Python."""
  extras = PROJECT.get('optional-dependencies', {}).values()
  lines = [*PROJECT['dependencies'], *(line for x in extras for line in x)]
  return {
    canonicalize_name(x.name): x.specifier
    for x in map(Requirement, lines)
    if x.specifier and applies(x, python)
  }


@pytest.mark.parametrize('python', PYTHONS)
def test_the_pins_lie_in_the_ranges_of_the_package(python):
  pinned = dict(pins('requirements.txt', python))
  assert pinned.keys() == ranges(python).keys()
  for name, version in pinned.items():
    assert ranges(python)[name].contains(version), name


@pytest.mark.parametrize('python', PYTHONS)
@pytest.mark.parametrize(
  'file', ['requirements.txt', 'constraints.txt', 'requirements-tpu.txt']
)
def test_each_python_has_one_version_of_a_package(file, python):
  found = pins(file, python)
  assert len(dict(found)) == len(found) > 0


@pytest.mark.parametrize('python', PYTHONS)
def test_jax_and_jaxlib_are_of_one_version(python):
  (jax,) = [v for name, v in pins('requirements.txt', python) if name == 'jax']
  assert dict(pins('constraints.txt', python))['jaxlib'] == jax


def test_libtpu_is_the_one_that_jax_requires():
  version = metadata.version('jax')
  (python, *_) = [
    x for x in PYTHONS if ('jax', version) in pins('requirements.txt', x)
  ]
  ((_, pin),) = pins('requirements-tpu.txt', python)
  (required,) = [
    requirement
    for requirement in map(Requirement, metadata.requires('jax'))
    if requirement.name == 'libtpu'
    and requirement.marker.evaluate({'extra': 'tpu'})
  ]
  assert required.specifier.contains(pin)


def test_the_same_pythons_everywhere():
  supported = SpecifierSet(PROJECT['requires-python'])
  near = [f'3.{minor}' for minor in range(8, 20)]
  assert [x for x in near if supported.contains(f'{x}.1')] == list(PYTHONS)
  workflow = yaml.safe_load((ROOT / '.github/workflows/test.yml').read_text())
  matrix = workflow['jobs']['test']['strategy']['matrix']
  assert matrix['python'] == list(PYTHONS)
  makefile = (ROOT / 'Makefile').read_text()
  assert f' in {"|".join(PYTHONS)})' in makefile


def check_python(folder, *words, **pythons):
  """Runs `make check-python` beside Pythons that are of the given versions."""
  for path, version in pythons.items():
    file = folder / {'venv': '.venv/bin/python'}.get(path, path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f'#!/bin/sh\necho {version}\n')
    file.chmod(0o755)
  make = ('make', '--silent', f'--file={ROOT}/Makefile', 'check-python')
  env = {
    k: v
    for k, v in os.environ.items()
    if k not in ('PYTHON', 'MFLAGS') and not k.startswith('MAKE')
  }
  done = subprocess.run(
    [*make, *words], cwd=folder, env=env, capture_output=True, text=True
  )
  errors = done.stderr.splitlines()
  return [x for x in errors if not x.startswith('make: ***')], done.returncode


@pytest.mark.parametrize('version', [*PYTHONS, '3.10', '3.14'])
def test_make_takes_the_pythons_of_the_package(tmp_path, version):
  errors, status = check_python(tmp_path, 'PYTHON=./mine', mine=version)
  if version in PYTHONS:
    assert not errors and not status
  else:
    assert errors == ['error: set PYTHON= to Python 3.11, 3.12 or 3.13']
    assert status


def test_make_does_not_install_into_the_environment_of_another_python(tmp_path):
  pythons = {'venv': '3.11', 'mine': '3.12'}
  errors, status = check_python(tmp_path, 'PYTHON=./mine', **pythons)
  assert errors == [
    'error: .venv has Python 3.11, not ./mine: remove it or leave PYTHON= out'
  ]
  assert status
  assert check_python(tmp_path) == ([], 0)
  pythons['mine'] = '3.11'
  assert check_python(tmp_path, 'PYTHON=./mine', **pythons) == ([], 0)

"""Hostile paths, numbers and JSON."""

import os
import pwd

import pytest

from inception_jax import inputs
from inception_jax.errors import UserError


def test_home_is_expanded(monkeypatch, tmp_path):
  monkeypatch.setenv('HOME', str(tmp_path))
  assert inputs.expand_home('~') == str(tmp_path)
  assert inputs.expand_home('~/runs/~') == f'{tmp_path}/runs/~'
  for path in ('', 'runs', './~', '/~', 'gs://bucket/~'):
    assert inputs.expand_home(path) == path


def test_urls_of_other_buckets_are_refused():
  for path in ('', 'runs', '/a', 'gs://bucket/run', 's3://b/run'):
    inputs.check_url(path)
  for scheme in ('obs', 'https'):
    with pytest.raises(UserError) as error:
      inputs.check_url(f'{scheme}://bucket/run')
    (fault,) = error.value.faults
    start = (
      f'{scheme}://bucket/run: expected a local path, gs://BUCKET/PATH or '
    )
    assert fault.startswith(f'{start}s3://BUCKET/PATH, not {scheme}://; ')


def test_parents_are_those_that_the_system_finds(tmp_path, monkeypatch):
  (tmp_path / 'disk' / 'runs').mkdir(parents=True)
  (tmp_path / 'link').symlink_to('disk/runs')
  monkeypatch.chdir(tmp_path / 'disk')
  monkeypatch.setenv('HOME', str(tmp_path))
  new = f'{tmp_path}/disk/new'  # os.path.abspath and orbax say tmp_path/new
  for path in (f'{tmp_path}/link/../new', '../link/../new', '~/link/../new'):
    assert inputs.expand_home(path) == new
  assert not os.path.exists(new)
  for path in ('../runs', './../..', '/../x', 'a..b/..c', 'gs://a/b/../c'):
    assert inputs.expand_home(path) == path


@pytest.mark.parametrize('home', [None, 'relative', '/dev/null/home'])
def test_unknown_home_is_an_error(monkeypatch, tmp_path, home):
  def getpwuid(uid):
    raise KeyError(f'no user {uid}')

  monkeypatch.setattr(pwd, 'getpwuid', getpwuid)
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'relative').mkdir()
  (tmp_path / '~').mkdir()  # what an earlier mistake left
  monkeypatch.delenv('HOME')
  if home:
    monkeypatch.setenv('HOME', home)
  for path in ('~', '~/runs'):
    with pytest.raises(UserError, match=r'~ is no folder .*\./~ for'):
      inputs.expand_home(path)
  with pytest.raises(UserError, match='~no-such-user is no folder'):
    inputs.expand_home('~no-such-user/runs')


@pytest.mark.parametrize(
  'text',
  [
    '[' * 100_000,
    '[' * 100_000 + ']' * 100_000,
    '{"a":' * 900 + '1' + '}' * 900,
    '9' * 5000,
    b'[\xff]',
    '{',
    '',
  ],
)
def test_hostile_json_is_a_value_error(text):
  with pytest.raises(ValueError):
    inputs.parse_json(text)


def test_json_of_people_is_parsed():
  assert inputs.parse_json('{"a": [[1, null], "\\ud800"]}') == {
    'a': [[1, None], '\ud800']
  }


@pytest.mark.parametrize(
  ('text', 'number'),
  [
    ('7', 7),
    ('007', 7),
    *((x, None) for x in ('9' * 5000, '٣', '-1', '', '²')),
  ],
)
def test_numbers(text, number):
  assert inputs.parse_number(text) == number

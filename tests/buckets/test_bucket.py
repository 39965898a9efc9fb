"""Objects of a bucket, on servers of both protocols."""

import pytest

from inception_jax.buckets import bucket
from inception_jax.buckets.bucket import Bucket
from inception_jax.errors import RunError
from inception_jax.errors import UserError
from tests.support import object_server


@pytest.fixture(scope='module')
def amazon():
  with (
    object_server.s3() as environment,
    pytest.MonkeyPatch.context() as patch,
  ):
    for name, value in environment.items():
      patch.setenv(name, value)
    yield


@pytest.fixture(params=['google', 'amazon'])
def empty(request):
  """An empty folder in a bucket of each server."""
  request.getfixturevalue(request.param)
  scheme = {'google': 'gs', 'amazon': 's3'}[request.param]
  return Bucket(f'{scheme}://bucket/{request.node.name}/')


def test_objects_are_read_as_they_were_written(empty):
  contents = {f'a/{i}': bytes([i]) * 1000 * i for i in range(20)}
  assert [*empty.write_all(contents, contents.get)] == [*contents]
  found = {name: x.content for name, x in empty.read_all(contents)}
  assert found == contents
  assert empty.names() == empty.names('a/') == sorted(contents)
  assert empty.names('a/1') == sorted(x for x in contents if x[2] == '1')
  assert empty.names('b') == []
  span = lambda name, *at: empty.finish(name, empty.start(name, *at))
  assert span('a/3', 10, 20).content == b'\3' * 10
  assert span('a/3').content == contents['a/3']
  with pytest.raises(EOFError, match='/a/3 is too short'):
    span('a/3', 9990, 10010)
  assert span('none', 0, 1) is None
  versions = dict(empty.versions(['a/3', 'a/4', 'none']))
  assert len({*versions.values()}) == 3
  assert versions['none'] == empty.version('none')
  empty.delete(['a/3', 'none'])
  assert empty.read('a/3') is None
  assert [name for name, _ in empty.read_all(['a/3', 'a/4'])] == ['a/4']


def test_an_object_of_the_url_itself(empty):
  empty.write('model.onnx', b'model')
  file = Bucket(f'{empty.url}/model.onnx')
  assert file.names() == [''] and file.read('').content == b'model'


def test_writes_with_a_version_happen_once(empty):
  missing = empty.version('x')
  first = empty.write('x', b'1', missing)
  assert first and not empty.write('x', b'2', missing)
  assert empty.read('x') == (b'1', first)
  assert empty.read('x', unless=first) is None
  second = empty.write('x', b'3', first)
  assert second and not empty.write('x', b'4', first)
  assert empty.read('x', unless=first) == (b'3', second)
  empty.delete(['x'], first)
  assert empty.read('x').content == b'3'
  empty.delete(['x'], second)
  assert empty.read('x') is None


def test_failed_requests_are_repeated(google, monkeypatch):
  monkeypatch.setitem(bucket._DELAYS, 'initial_delay', '1ms')
  folder = Bucket('gs://bucket/failing')
  google.failed, google.failures = 0, 0.3
  try:
    names = [str(i) for i in range(30)]
    assert [*folder.write_all(names, str.encode)] == names
    found = [(name, x.content.decode()) for name, x in folder.read_all(names)]
  finally:
    google.failures = 0.0
  assert found == [(name, name) for name in names]
  assert google.failed > 5


def test_what_fails_for_good_names_the_object(google):
  folder = Bucket('gs://bucket/broken', retries=1)
  google.failures = 1.0
  try:
    for request in (
      lambda: folder.read('x'),
      lambda: folder.write('x', b''),
      lambda: folder.delete(['x']),
      lambda: folder.version('x'),
    ):
      with pytest.raises(RunError, match=r'^gs://bucket/broken/x: '):
        request()
    with pytest.raises(RunError, match=r'^gs://bucket/broken'):
      folder.names()
  finally:
    google.failures = 0.0


def test_names_that_lead_outside_are_left_out(google):
  whole = Bucket('gs://bucket')
  names = ('out/a/../../b', 'out//c', 'out/folder/', 'out/fine', 'out-2/x')
  for name in names:
    whole.write(name, b'x')
  assert Bucket('gs://bucket/out').names() == ['fine']


def test_urls():
  for url in ('gs://b', 's3://b/c'):
    assert bucket.is_url(url)
  for path in ('', 'runs', 'gs:/b', 'hf-hub:a/b', 'http://b/c', './gs://b'):
    assert not bucket.is_url(path)
  with pytest.raises(UserError, match='gs://B_: '):
    Bucket('gs://B_')

"""Local copies of folders in buckets, and what is written to them."""

from concurrent import futures
import os
import pathlib
import shutil
import urllib.parse

import pytest

from inception_jax.buckets import lease
from inception_jax.buckets import mirror
from inception_jax.buckets import runs
from inception_jax.buckets import urls
from inception_jax.buckets.bucket import Bucket
from inception_jax.errors import RunError
from inception_jax.errors import UserError
from inception_jax.runtime import lock

CHECKPOINT = {
  '_CHECKPOINT_METADATA': b'marker',
  'record/metadata': b'record',
  'state/d/1': b'arrays',
  'state/manifest': b'manifest',
}
EVENTS = ('events.out.tfevents.1', 'train/events.out.tfevents.2')


@pytest.fixture
def url(google, request, monkeypatch, tmp_path):
  monkeypatch.setenv('INCEPTION_JAX_BUCKETS', str(tmp_path / 'buckets'))
  google.requests.clear()
  yield f'gs://bucket/{request.node.name}'
  runs.close()


def save(run, step):
  """Writes a checkpoint as orbax does: under another name first."""
  folder = pathlib.Path(run, 'checkpoints', f'{step}.orbax-checkpoint-tmp')
  for name, content in CHECKPOINT.items():
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
  folder.rename(folder.with_suffix(''))


def names(step):
  return [f'checkpoints/{step}/{name}' for name in CHECKPOINT]


def writes(google):
  """Returns the names that were written or deleted, in order."""
  found = []
  for method, path in google.requests:
    query = dict(urllib.parse.parse_qsl(path.partition('?')[2]))
    if method == 'POST':
      found.append(query['name'].partition('/')[2])
    elif method == 'DELETE':
      name = urllib.parse.unquote(path.partition('?')[0].split('/o/')[1])
      found.append(f'-{name.partition("/")[2]}')
  return [name for name in found if not name.startswith(('.', '-.'))]


def test_a_marker_is_written_last_and_deleted_first(url, google):
  with runs.training(url) as path:
    (pathlib.Path(path) / 'config.json').write_text('{}')
    save(path, 8)
    mirror.of(path).publish()
    assert writes(google)[-1] == 'checkpoints/8/_CHECKPOINT_METADATA'
    assert {*writes(google)} == {'config.json', *names(8)}
    google.requests.clear()
    save(path, 16)
    old = pathlib.Path(path, 'checkpoints/8')
    old = old.rename(old.with_name('8.deleted'))
    mirror.of(path).publish()
    assert writes(google)[3] == 'checkpoints/16/_CHECKPOINT_METADATA'
    assert writes(google)[4] == '-checkpoints/8/_CHECKPOINT_METADATA'
    google.requests.clear()
  assert not writes(google)
  assert Bucket(url).names('checkpoints/') == sorted(names(16))


def test_an_interrupted_publication_is_completed(url, google, monkeypatch):
  monkeypatch.setattr(Bucket, 'delete', Bucket.delete)
  with runs.training(url) as path:
    save(path, 8)
    opened = mirror.of(path)

    def fail(names, read):
      for name in [*names][:2]:
        opened.bucket.write(name, read(name))
        yield name
      raise RunError('no network')

    with monkeypatch.context() as patch:
      patch.setattr(opened.bucket, 'write_all', fail)
      with pytest.raises(RunError, match='no network'):
        opened.publish()
    assert f'{names(8)[0]}' not in Bucket(url).names()
    google.requests.clear()
  assert len(writes(google)) == 2  # the others are not written again
  assert Bucket(url).names('checkpoints/') == sorted(names(8))


def test_another_machine_reads_arrays_only_where_they_are_needed(
  url, google, monkeypatch, tmp_path
):
  with runs.training(url) as path:
    save(path, 8)
    pathlib.Path(path, 'run_id').write_text('run')
    for name in EVENTS:
      pathlib.Path(path, name).parent.mkdir(exist_ok=True)
      pathlib.Path(path, name).write_text('events')
  for open_run in (runs.training, lambda url: _local(url)):
    monkeypatch.setenv('INCEPTION_JAX_BUCKETS', str(tmp_path / 'other'))
    with open_run(url) as path:
      checkpoint = pathlib.Path(path, 'checkpoints/8')
      assert pathlib.Path(path, 'run_id').read_text() == 'run'
      assert not any(pathlib.Path(path, name).exists() for name in EVENTS)
      assert (checkpoint / 'record/metadata').read_bytes() == b'record'
      assert not (checkpoint / 'state').exists()
      mirror.fetch(str(checkpoint))
      for name, content in CHECKPOINT.items():
        assert (checkpoint / name).read_bytes() == content
  google.requests.clear()
  runs.publish()
  assert not writes(google)


class _local:
  def __init__(self, url):
    self._url = url

  def __enter__(self):
    return runs.local(self._url)

  def __exit__(self, *_):
    pass


def test_what_was_not_written_is_written_by_the_next_start(url, google):
  with pytest.raises(RunError, match='has the whole run: the same command'):
    with runs.training(url) as path:
      save(path, 8)
      mirror.of(path).bucket = Bucket(url)
      mirror.of(path).bucket._store = Unreachable()
  assert not Bucket(url).names('checkpoints/')
  google.requests.clear()
  with runs.training(url) as again:
    assert again == path
    assert sorted(writes(google)) == sorted(names(8))


class Unreachable:
  """A store all of whose requests fail."""

  def __getattr__(self, name):
    failed = futures.Future()
    failed.set_exception(ValueError('UNAVAILABLE'))
    return lambda *_, **__: failed


def test_a_local_folder_that_is_behind_is_replaced(url, monkeypatch, tmp_path):
  with runs.training(url) as first:
    save(first, 8)
  monkeypatch.setenv('INCEPTION_JAX_BUCKETS', str(tmp_path / 'other'))
  with runs.training(url) as second:
    save(second, 16)
  monkeypatch.setenv('INCEPTION_JAX_BUCKETS', str(tmp_path / 'buckets'))
  (pathlib.Path(first) / 'mine').write_text('not written')
  with runs.training(url) as path:
    assert path == first != second
    assert sorted(os.listdir(f'{path}/checkpoints')) == ['16', '8']
    assert not (pathlib.Path(path) / 'mine').exists()


def test_two_write_lines_of_metrics(url, tmp_path, monkeypatch):
  lines = lambda path: pathlib.Path(path, 'metrics.jsonl').read_text().split()

  def add(path, line, end='\n'):
    with open(f'{path}/metrics.jsonl', 'a') as file:
      file.write(f'{line}{end}')

  with runs.training(url) as path:
    add(path, 'train-1')
    mirror.of(path).publish()
    follower = runs.local(url)
    assert lines(follower) == ['train-1']
    add(follower, 'eval-1')
    runs.publish()
    add(path, 'train-2')
    add(path, 'half', end='')
    mirror.of(path).publish()
    mirror.refresh(follower)
    assert lines(follower) == ['train-1', 'train-2', 'eval-1']
    add(follower, 'eval-2')
    runs.publish()
    add(path, '-written')
  runs.close()
  expected = ['train-1', 'train-2', 'half-written', 'eval-1', 'eval-2']
  assert lines(runs.local(url)) == expected
  runs.close()
  monkeypatch.setenv('INCEPTION_JAX_BUCKETS', str(tmp_path / 'other'))
  with runs.training(url) as path:
    assert lines(path) == expected
    assert Bucket(url).names('metrics') == ['metrics.jsonl']
    assert lines(runs.local(url)) == expected


def test_what_the_bucket_deletes_is_deleted_in_copies(url):
  with runs.training(url) as path:
    save(path, 8)
    save(path, 16)
    mirror.of(path).publish()
    copy = pathlib.Path(runs.local(url))
    mirror.fetch(str(copy / 'checkpoints/8'))
    shutil.rmtree(pathlib.Path(path, 'checkpoints/8'))
    mirror.of(path).publish()
    mirror.refresh(str(copy))
    assert os.listdir(copy / 'checkpoints') == ['16']
  runs.publish()
  assert Bucket(url).names('checkpoints/') == sorted(names(16))


@pytest.mark.slow
def test_commands_that_change_a_run_lock_it(url):
  with runs.training(url) as path:
    save(path, 8)
    mirror.of(path).publish()
    copy = runs.local(url)
    renewed = mirror.of(path).lease
    with futures.ThreadPoolExecutor(1) as executor:
      done = executor.submit(change, copy)
      while not done.done():
        renewed.renew()
    with pytest.raises(UserError, match='in use by another training'):
      done.result()
  assert 'checkpoints/8/_CHECKPOINT_METADATA' in Bucket(url).names()
  change(copy)
  assert Bucket(url).names('checkpoints/') == [
    name.replace('/8/', '/8.damaged/') for name in sorted(names(8))
  ]
  assert lease.NAME not in Bucket(url).names()


def change(copy):
  with lock.held(copy):
    mirror.fetch(f'{copy}/checkpoints/8')
    folder = pathlib.Path(copy, 'checkpoints/8')
    folder.rename(folder.with_name('8.damaged'))


def test_output_of_a_command_is_published_when_it_succeeds(url):
  path = runs.local(f'{url}/model.onnx')
  assert not os.path.exists(path)
  pathlib.Path(path).write_text('model')
  assert Bucket(url).names() == []
  runs.publish()
  assert Bucket(url).read('model.onnx').content == b'model'
  assert urls.named(f'wrote {path}') == f'wrote {url}/model.onnx'
  runs.close()
  assert not os.path.exists(path)


def test_objects_that_no_folder_can_hold(url):
  Bucket(url).write('a', b'')
  Bucket(url).write('a/b', b'')
  with pytest.raises(UserError, match='both an object and a folder at a'):
    runs.local(url)
  for path in ('gs://bucket/../x', 'gs://bucket/a/../../b'):
    with pytest.raises(UserError, match='outside'):
      runs.local(path)


def test_a_file_that_vanishes_meanwhile_is_not_written(url, monkeypatch):
  with runs.training(url) as path:
    save(path, 8)
    write_all = Bucket.write_all

    def vanishing(self, names, read):
      pathlib.Path(path, names[0]).unlink(missing_ok=True)
      yield from write_all(self, names, read)

    with monkeypatch.context() as patch:
      patch.setattr(Bucket, 'write_all', vanishing)
      mirror.of(path).publish()
  assert Bucket(url).names('checkpoints/') == sorted(names(8))[2:]


def test_rests_of_checkpoints_are_neither_read_nor_kept(
  url, monkeypatch, tmp_path
):
  with runs.training(url) as path:
    save(path, 8)
    save(path, 16)
  # As a machine leaves it that is killed while it deletes or writes.
  Bucket(url).delete(['checkpoints/16/_CHECKPOINT_METADATA'])
  monkeypatch.setenv('INCEPTION_JAX_BUCKETS', str(tmp_path / 'other'))
  assert os.listdir(f'{runs.local(url)}/checkpoints') == ['8']
  with runs.training(url) as path:
    assert os.listdir(f'{path}/checkpoints') == ['8']
    assert Bucket(url).names('checkpoints/') == sorted(names(8))


def test_each_run_has_a_local_folder_of_its_own(url):
  with runs.training(f'{url}/a') as outer:
    pathlib.Path(outer, 'b').mkdir()
    pathlib.Path(outer, 'b', 'file').write_text('of a')
  with runs.training(f'{url}/a/b') as inner:
    assert not inner.startswith(outer)
    assert os.path.basename(inner) == 'b'
  with runs.training(f'{url}/a/') as again:
    assert again == outer


def test_a_folder_read_in_part_is_read_anew(url, monkeypatch, tmp_path):
  with runs.training(url) as path:
    pathlib.Path(path, 'run_id').write_text('run')
  monkeypatch.setenv('INCEPTION_JAX_BUCKETS', str(tmp_path / 'other'))

  def fail(self):
    raise RunError('no network')

  with monkeypatch.context() as patch:
    patch.setattr(mirror.Mirror, 'download', fail)
    with pytest.raises(RunError, match='no network'), runs.training(url):
      pass
  with runs.training(url) as path:
    assert pathlib.Path(path, 'run_id').read_text() == 'run'


def test_the_lock_is_renewed_while_the_last_files_are_written(url, monkeypatch):
  monkeypatch.setattr(runs, 'RENEW', 0.05)
  renewed = []
  publish = mirror.Mirror.publish

  def slowly(self):
    before = Bucket(url).version(lease.NAME)
    for _ in range(1000):
      if Bucket(url).version(lease.NAME) != before:
        renewed.append(True)
        break
    return publish(self)

  with runs.training(url) as path:
    save(path, 8)
    monkeypatch.setattr(mirror.Mirror, 'publish', slowly)
  assert renewed

"""The index of a dataset in a bucket: cached, beside the data, or damaged."""

import json

import pytest

from inception_jax.data.remote import mounts
from inception_jax.data.sources import registry
from inception_jax.errors import UserError
from tests.data.sources import test_tfrecord
from tests.support import flips
from tests.support import uploads
from tests.support.commands import run
from tests.support.image_folders import config_of
from tests.support.image_folders import write_image


@pytest.fixture
def url(folder, google, request):
  """Where the images of `folder` are."""
  where = f'gs://bucket/mounts/{request.node.name}'
  uploads.upload(folder, where)
  uploads.upload(folder, f'{where}-beside')
  google.requests.clear()
  return where


def names(url):
  """Returns the names of the training images, as at a new start."""
  mounts.forget()
  opened = registry.load(config_of(url), 'train')
  digest = opened.digest()
  found = [opened.name(i) for i in range(opened.size)]
  return [x.removeprefix(f'{url}/train/') for x in found], digest


def of_index(google, url):
  """Returns how many objects were asked for, and how often names were listed.

  But for those of indices.
  """
  asked = [path for _, path in google.requests if mounts.NAME not in path]
  google.requests.clear()
  listed = sum('/o?' in path for path in asked)
  return len(asked) - listed, listed


SOUND = [f'a/{i}.png' for i in (0, 2, 4, 6, 8)]
SOUND += [f'b/{i}.png' for i in (1, 3, 5, 7, 9)]


def test_a_large_bucket_is_listed_once(url, google, monkeypatch):
  monkeypatch.setattr(mounts, '_RELISTED', 0)
  monkeypatch.setattr(mounts, '_COMPARED', 5)
  found, digest = names(url)
  assert found == SOUND
  # Of the ten files that are images, and whether the URL is a file itself.
  assert of_index(google, url) == (20 + 1, 1)
  assert names(url) == (SOUND, digest)
  assert of_index(google, url) == (5, 0)


def test_what_changes_is_seen_at_the_next_start(
  url, folder, google, tmp_path, caplog
):
  caplog.set_level('INFO')
  _, digest = names(url)
  write_image(tmp_path / 'new' / '4.png', 99)
  content = (tmp_path / 'new' / '4.png').read_bytes()
  objects = mounts.Bucket(url)
  objects.write('train/a/4.png', content)
  found, other = names(url)
  assert found == SOUND and other != digest
  assert f'{url}/train/a/4.png has changed; its index is made' in caplog.text
  objects.write('train/a/99.png', content)
  assert sorted(names(url)[0]) == sorted([*SOUND, 'a/99.png'])
  assert f'{url}/train/a/99.png is new or gone' in caplog.text
  objects.delete(['train/a/99.png'])
  assert names(url)[0] == SOUND


def test_a_damaged_cache_is_made_anew(url, cache, google, caplog):
  _, digest = names(url)
  (index,) = cache.glob('*.index')
  for offset in (3, 100, -1):
    flips.flip(index, offset)
    caplog.clear()
    assert names(url) == (SOUND, digest)
    line = f'{index} is made anew: no sound index: its checksum is wrong'
    assert line in caplog.text


def prepare(url, source, *args):
  """Runs tools.prepare, and returns what it prints."""
  done = run(
    *(f'--source={source}', f'--data_dir={url}', '--index', '--noverify'),
    *args,
    program=('-m', 'inception_jax.tools.prepare'),
  )
  assert done.returncode == 0, done.stderr
  return json.loads(done.stdout.splitlines()[-1])


def test_an_index_beside_the_data_spares_reading_it(
  google, tmp_path, monkeypatch
):
  url = 'gs://bucket/mounts/indexed'
  (tmp_path / 'set').mkdir()
  test_tfrecord.write(tmp_path / 'set', 'train', 11, 3)
  test_tfrecord.write(tmp_path / 'set', 'validation', 5, 1)
  objects = uploads.upload(tmp_path / 'set', url)
  result = prepare(url, 'tfrecord', '--config.model.num_classes=3')
  assert result['splits'] == {'train': 11, 'validation': 5}
  monkeypatch.setenv('INCEPTION_JAX_BUCKETS', str(tmp_path / 'other'))
  monkeypatch.setattr(mounts, '_RELISTED', 0)
  mounts.forget()
  google.requests.clear()
  opened = registry.load(test_tfrecord.config_of(url), 'train')
  assert opened.size == 11
  assert of_index(google, url) == (4, 0)  # a version of each

  objects.write('train-00001-of-00003', b'')
  mounts.forget()
  with pytest.raises(
    UserError, match=r'00001-of-00003 has changed; .* --index'
  ):
    registry.load(test_tfrecord.config_of(url), 'train')
  content = objects.read(mounts.NAME).content
  objects.write(mounts.NAME, content[:-1])
  with pytest.raises(UserError, match=r'its checksum is wrong; .* --index'):
    registry.load(test_tfrecord.config_of(url), 'train')


def test_an_index_of_another_source_is_refused(url):
  prepare(url, 'folder')
  mounts.forget()
  mounted = mounts.mount(url)
  with pytest.raises(UserError, match='is of another source; python -m'):
    mounted.check_complete()


def test_training_refuses_a_bucket_without_data(google, tmp_path):
  done = run(
    '--config=configs/digits.py',
    f'--workdir={tmp_path / "run"}',
    '--config.data.source=folder',
    '--config.data.dir=gs://bucket/nothing',
  )
  assert done.returncode == 2, done.stderr
  (line,) = [x for x in done.stderr.splitlines() if x.startswith('error: ')]
  assert line == 'error: gs://bucket/nothing has no objects'
  assert not (tmp_path / 'run').exists()

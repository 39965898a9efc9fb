"""data.source='auto', and what errors say of another kind of dataset."""

import itertools
import json
import shutil

import pytest

from inception_jax.data.sources import recognition
from inception_jax.data.sources import registry
from inception_jax.errors import UserError
from tests.data.sources import test_cifar
from tests.support import runs
from tests.support import uploads
from tests.support import written_datasets
from tests.support import zip_files
from tests.support.image_folders import config_of
from tests.support.image_folders import write_image
from tests.support.tiny import tiniest_config


@pytest.fixture
def sets(tmp_path):
  """A folder of each kind, by the name of its source."""
  for split in ('train', 'val'):
    for name in ('cat', 'dog'):
      write_image(tmp_path / 'folder' / split / name / 'a.png', 40)
  test_cifar.write(
    tmp_path / 'cifar' / 'cifar-10-batches-py', test_cifar.files(10, 'python')
  )
  info = tmp_path / 'tfds' / 'shapes' / '1.0.0' / 'dataset_info.json'
  info.parent.mkdir(parents=True)
  info.write_text(json.dumps({'name': 'shapes', 'version': '1.0.0'}))
  (info.parent / 'shapes-train.tfrecord-00000-of-00001').touch()
  (tmp_path / 'tfrecord').mkdir()
  for split in ('train', 'validation'):
    (tmp_path / 'tfrecord' / f'{split}-00000-of-00001').touch()
  written_datasets.copy('arrow', tmp_path).rename(tmp_path / 'huggingface')
  written_datasets.copy('webdataset', tmp_path)
  return tmp_path


def auto(where):
  config = config_of(where, source='auto')
  resolved = registry.resolve(config)
  assert config.data.source == 'auto'
  return resolved.data.source, resolved.data.dir


def test_auto_recognizes_each_kind_and_says_why(sets, caplog):
  caplog.set_level('INFO')
  for name, source, why in (
    ('folder', 'folder', 'class folders with images such as train/cat/a.png'),
    ('folder/train', 'folder', 'class folders with images such as cat/a.png'),
    ('cifar', 'cifar', 'cifar-10-batches-py/data_batch_1 of CIFAR'),
    ('cifar/cifar-10-batches-py', 'cifar', 'data_batch_1 of CIFAR'),
    ('tfrecord', 'tfrecord', 'the TFRecord file train-00000-of-00001'),
    ('tfds', 'tfds:shapes', 'has shapes/1.0.0/dataset_info.json'),
    ('huggingface', 'huggingface', 'with the splits test, train'),
    ('webdataset', 'webdataset', 'the shard test-000000.tar'),
  ):
    caplog.clear()
    found = auto(sets / name)
    assert found == (source, str(sets / name))
    (record,) = caplog.records
    line = record.getMessage()
    assert line.startswith(f'data.source=auto: {source} in {found[1]}, which')
    assert why in line


def test_what_was_seen_is_below_a_relative_folder(sets, caplog, monkeypatch):
  caplog.set_level('INFO')
  monkeypatch.chdir(sets)
  assert auto('folder') == ('folder', 'folder')
  assert caplog.messages[-1].endswith(' such as train/cat/a.png')


def test_auto_finds_the_folder_that_the_source_needs(sets):
  data_dir = str(sets / 'tfds')
  assert auto(sets / 'tfds' / 'shapes') == ('tfds:shapes', data_dir)
  version = sets / 'tfds' / 'shapes' / '1.0.0'
  assert auto(version) == ('tfds:shapes:1.0.0', data_dir)
  (sets / 'tfds' / 'shapes' / 'red').mkdir()
  version.rename(sets / 'tfds' / 'shapes' / 'red' / '1.0.0')
  assert auto(sets / 'tfds') == ('tfds:shapes/red', data_dir)
  assert auto(sets / 'tfds' / 'shapes' / 'red') == ('tfds:shapes/red', data_dir)


def test_auto_looks_into_archives_and_for_them(sets):
  (sets / 'down').mkdir()
  path = sets / 'down' / 'photos.zip'
  zip_files.pack(path, sets / 'folder')
  assert auto(path) == ('folder', str(path))
  assert auto(sets / 'down') == ('folder', str(path))
  path.unlink()
  for name, pack in (
    ('cifar-10-python.tar.gz', test_cifar.pack),
    ('c.zip', lambda p, x: test_cifar.zipped(p, x, 'top/')),
  ):
    path = pack(sets / 'down' / name, test_cifar.files(10, 'python'))
    assert auto(path) == ('cifar', str(path))
    assert auto(sets / 'down') == ('cifar', str(path))
    path.unlink()


def test_auto_takes_classes_without_splits_and_lists(sets):
  train = sets / 'folder' / 'train'
  assert auto(train.rename(sets / 'mine'))[0] == 'folder'
  (problem, *_) = registry.check(config_of(sets / 'mine', source='auto'))
  assert "data.train_split='train': neither" in problem
  config = config_of(sets / 'mine', source='auto', val_fraction=0.5)
  assert registry.check(config) == []
  (sets / 'lists').mkdir()
  (sets / 'lists' / 'train_list.txt').write_text('a.png 0\n')
  assert auto(sets / 'lists') == ('folder', str(sets / 'lists'))


def test_a_folder_of_pictures_beside_others_is_no_dataset(tmp_path):
  write_image(tmp_path / 'pictures' / 'a.png', 0)
  (tmp_path / 'notes').mkdir()
  (line,) = registry.check(config_of(tmp_path, source='auto'))
  assert line.startswith("data.source='auto': no dataset is recognized in")


def test_auto_refuses_what_it_cannot_tell(sets):
  def faults(where):
    config = config_of(where, source='auto')
    lines = registry.check(config)
    with pytest.raises(UserError) as error:
      registry.load(config, 'train')
    assert list(error.value.faults) == lines
    return lines

  both = sets / 'folder'
  shutil.copy(sets / 'tfrecord' / 'train-00000-of-00001', both)
  first, *rest = faults(both)
  start = "data.source='auto': "
  assert first == f'{start}{both} has several datasets; choose one:'
  assert [line.split(', for ')[0] for line in rest] == [
    '  --config.data.source=folder',
    '  --config.data.source=tfrecord',
  ]
  (sets / 'odd').mkdir()
  (sets / 'odd' / 'notes.txt').touch()
  assert faults(sets / 'odd') == [
    f'{start}no dataset is recognized in {sets}/odd, which has notes.txt; '
    'expected what is read as folder, cifar, tfrecord, huggingface, '
    'webdataset, tfds:NAME'
  ]
  (line,) = faults(sets / 'gone')
  assert f'in {sets}/gone, which does not exist; expected' in line
  (line,) = faults(sets / 'odd' / 'notes.txt')
  assert f'in {sets}/odd/notes.txt, a file; expected' in line
  assert faults('') == [f'{start}data.dir is missing, in which to look']
  bad = sets / 'odd' / 'bad.zip'
  bad.write_bytes(zip_files.raw(zip_files.entry('../a.jpg')))
  assert faults(bad)[1] == f"{bad}: '../a.jpg': lies outside of the archive"
  assert faults(sets / 'odd')[1] == faults(bad)[1]


def test_files_of_mindspore_are_refused_with_the_way_to_convert_them(sets):
  where = sets / 'records'
  where.mkdir()
  for name in ('val.mindrecord.db', 'train.mindrecord0', 'readme.txt'):
    (where / name).touch()
  way = recognition.MINDRECORD
  assert 'FileReader' in way and '--config.data.source=folder' in way
  (line,) = registry.check(config_of(where, source='mindrecord'))
  assert line == f"data.source='mindrecord': {way}"
  for source in ('auto', 'folder', 'tfrecord'):
    *_, line = registry.check(config_of(where, source=source))
    assert line == f'train.mindrecord0: {way}'
    one = where / 'train.mindrecord0'
    *_, line = registry.check(config_of(one, source=source))
    assert line == f'train.mindrecord0: {way}'
  config = config_of(sets / 'folder', source='folder', train_split='odd')
  assert not any('FileReader' in line for line in registry.check(config))


@pytest.mark.parametrize('source', ['auto', 'folder', 'tfrecord', 'tfds:x'])
def test_other_stores_are_refused_with_what_is_possible(source):
  url = 'obs://bucket/x'
  (line,) = registry.check(config_of(url, source=source))
  assert line.startswith(f'data.dir={url}: expected a local path, gs://')


@pytest.mark.parametrize('source', ['huggingface', 'tfds:x'])
def test_what_is_not_read_from_buckets_is_refused(source):
  url = 's3://bucket/x'
  (line,) = registry.check(config_of(url, source=source))
  assert line.startswith(f'data.dir={url}: {source[:4]}')
  assert line.endswith('or mount the bucket as one')


@pytest.mark.parametrize('source', ['auto', 'folder', 'tfrecord', 'webdataset'])
def test_a_bucket_without_the_data_is_an_error(google, source):
  assert registry.check(config_of('gs://bucket/none', source=source)) == [
    'gs://bucket/none has no objects'
  ]


def test_auto_recognizes_what_is_in_a_bucket(sets, google):
  url = 'gs://bucket/recognized'
  uploads.upload(sets, url)
  for name in ('folder', 'cifar', 'tfrecord', 'webdataset'):
    assert auto(f'{url}/{name}') == (name, f'{url}/{name}')
  config = config_of(f'{url}/cifar', source='folder')
  *_, line = registry.check(config)
  assert line == (
    f'{url}/cifar has cifar-10-batches-py/data_batch_1 of CIFAR: '
    '--config.data.source=cifar reads it'
  )


SOURCES = (
  'folder',
  'cifar',
  'tfrecord',
  'tfds:shapes',
  'huggingface',
  'webdataset',
)


@pytest.mark.parametrize(
  ('source', 'present'), list(itertools.permutations(SOURCES, 2))
)
def test_an_error_names_the_flag_that_reads_what_is_there(
  sets, source, present
):
  where = sets / present.partition(':')[0]
  config = config_of(where, source=source)
  lines = registry.check(config)
  if source == 'cifar':  # whose files are looked at when they are read
    config.data.eval_split = 'test'
    assert registry.check(config) == []
    with pytest.raises(UserError) as error:
      registry.load(config, 'train')
    lines = error.value.faults
  assert len(lines) > 1
  assert lines[-1].startswith(f'{where} has ')
  assert lines[-1].endswith(f': --config.data.source={present} reads it')


def test_the_right_source_gets_no_advice(sets):
  config = config_of(sets / 'folder', source='folder', eval_split='gone')
  (line,) = registry.check(config)
  assert 'reads it' not in line


def test_an_error_names_the_folder_that_has_the_dataset(sets):
  config = config_of(sets / 'tfds' / 'shapes', source='tfds:shapes')
  *_, line = registry.check(config)
  assert line.endswith(
    f'--config.data.source=tfds:shapes --config.data.dir={sets}/tfds reads it'
  )


@pytest.mark.slow
def test_a_run_records_what_auto_found_and_resumes(sets, tmp_path, one_device):
  config = tiniest_config()
  config.data.source, config.data.eval_split = 'auto', 'val'
  config.data.dir = str(zip_files.pack(sets / 'photos.zip', sets / 'folder'))
  config.batch_size, config.train_for = 2, '2 steps'
  runs.train(tmp_path / 'run', config, one_device)
  recorded = json.loads((tmp_path / 'run' / 'config.json').read_text())
  assert recorded['data']['source'] == 'folder'
  # The archive is unpacked in the meantime.
  config.data.dir, config.train_for = str(sets / 'folder'), '3 steps'
  runs.train(tmp_path / 'run', config, one_device)
  assert runs.metrics(tmp_path / 'run', 'train')[-1]['step'] == 3
  config.data.dir, config.data.eval_split = str(sets / 'cifar'), 'test'
  config.train_for = '4 steps'
  with pytest.raises(UserError, match='trained on other classes'):
    runs.train(tmp_path / 'run', config, one_device)

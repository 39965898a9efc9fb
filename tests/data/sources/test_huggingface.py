"""`huggingface`: what the datasets package wrote, and hostile tables."""

import json

import pyarrow as pa
from pyarrow import parquet
import pytest

from inception_jax import errors
from inception_jax.data import config_check
from inception_jax.data.bad_images import BadImages
from inception_jax.data.sources import huggingface
from inception_jax.data.sources import registry
from tests.support import written_datasets
from tests.support.written_datasets import config_of
from tests.support.written_datasets import evaluated

PNG = b'\x89PNG'
IMAGE = pa.struct({'bytes': pa.binary(), 'path': pa.string()})


def faults_of(function, *args):
  with pytest.raises(errors.UserError) as error:
    function(*args)
  return list(error.value.faults)


def images():
  """Returns the images 0 to 4, encoded."""
  path = written_datasets.FOLDER / 'parquet/data/test-00000-of-00001.parquet'
  column = parquet.read_table(path, columns=['img']).column(0).to_pylist()
  return [image['bytes'] for image in column]


def write(folder, kind, columns, split='train', options=None):
  """Writes a table as Parquet or as an Arrow stream; returns its path."""
  table = pa.table(columns)
  if kind == 'parquet':
    folder.mkdir(exist_ok=True)
    path = folder / f'{split}.parquet'
    parquet.write_table(table, path, row_group_size=2)
    return path
  (folder / split).mkdir(parents=True)
  path = folder / split / 'data-00000-of-00001.arrow'
  with pa.ipc.new_stream(path, table.schema, options=options) as stream:
    stream.write_table(table, 2)
  state = {'_data_files': [{'filename': path.name}]}
  (path.parent / 'state.json').write_text(json.dumps(state))
  return path


@pytest.mark.slow
@pytest.mark.parametrize(
  ('kind', 'place'),
  [
    ('arrow', 'test/data-00000-of-00001.arrow'),
    ('parquet', 'data/test-00000-of-00001.parquet'),
  ],
)
def test_what_the_package_wrote(kind, place):
  folder = written_datasets.FOLDER / kind
  config = config_of('huggingface', folder)
  assert config_check.check(config) == []
  assert huggingface.split_names(config) == ['test', 'train']
  assert next(huggingface.recognize(folder))
  assert not list(huggingface.recognize(folder / place))
  where = written_datasets.FOLDER / 'webdataset'
  assert not list(huggingface.recognize(where))
  opened = registry.load(config, 'test')
  assert opened.class_names == written_datasets.NAMES
  assert opened.labels.tolist() == [0, 1, 2, 0, 1]
  assert opened.name(3) == f'{folder}/{place}, row 3'
  assert evaluated(config, 'test') == [(i, i % 3) for i in range(5)]
  written_datasets.check_order(config)


@pytest.mark.slow
def test_a_folder_of_one_split(tmp_path):
  folder = written_datasets.copy('arrow', tmp_path) / 'train'
  config = config_of('huggingface', folder)
  assert registry.check(config) == []
  (folder.parent / 'dataset_dict.json').unlink()
  (fault,) = registry.check(config)
  assert fault.startswith("data.eval_split='test': no test/*.arrow")
  assert fault.endswith('its splits: train')
  config.data.update(eval_split='val', val_fraction=0.4)
  assert config_check.check(config) == []
  parts = [evaluated(config, split) for split in ('train', 'val')]
  assert sorted(parts[0] + parts[1]) == [(i, i % 3) for i in range(11)]
  assert len(parts[1]) > 2


def test_held_out_images_of_parquet(tmp_path):
  folder = written_datasets.copy('parquet', tmp_path)
  config = config_of('huggingface', folder, val_fraction=0.4)
  (fault,) = registry.check(config)
  assert fault.startswith('data.val_fraction=0.4, but the split test exists: ')
  config.data.eval_split = 'val'
  train, val = (registry.load(config, split) for split in ('train', 'val'))
  assert train.size + val.size == 11
  numbers = [
    *map(int, train.epoch((0, 3)).as_numpy_iterator()),
    *map(int, val.epoch(None).as_numpy_iterator()),
  ]
  assert sorted(numbers) == [*range(11)]


@pytest.mark.parametrize('kind', ['arrow', 'parquet'])
def test_tables_of_other_programs(kind, tmp_path):
  """Bytes without a struct; labels that are names or numbers."""
  names = pa.array(['10', '9', '9', '10', '9']).dictionary_encode()
  write(tmp_path / 'a', kind, {'jpg': pa.array(images()), 'class': names})
  config = config_of('huggingface', tmp_path / 'a', eval_split='train')
  assert registry.load(config, 'train').class_names == ('9', '10')
  assert evaluated(config, 'train') == [(0, 1), (1, 0), (2, 0), (3, 1), (4, 0)]
  columns = {'id': pa.array(range(5)), 'image': pa.array(images())}
  labels = pa.array([0, 3, 1, 0, 2], pa.uint8())
  write(tmp_path / 'b', kind, {**columns, 'label': labels})
  write(tmp_path / 'b', kind, {**columns, 'label': pa.array([1] * 5)}, 'test')
  config = config_of('huggingface', tmp_path / 'b')
  # As many as the training split has.
  assert registry.load(config, 'test').class_names == ('0', '1', '2', '3')
  write(tmp_path / 'b', kind, {**columns, 'label': pa.array([4] * 5)}, 'val')
  assert faults_of(registry.load, config, 'val') == [
    f'{tmp_path}/b: val: label of 5 of 5 images is 4, not one of the 4 classes'
  ]
  write(tmp_path / 'c', kind, columns)
  config = config_of('huggingface', tmp_path / 'c')
  assert registry.check(config)[0].startswith("data.eval_split='test'")


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['arrow', 'parquet'])
def test_images_that_are_not_in_the_file(kind, tmp_path):
  good = images()
  paths = ['inside/1.png', '/etc/passwd', '../2.png', None, None]
  column = [{'bytes': None, 'path': path} for path in paths]
  column[4] = {'bytes': good[4], 'path': 'x'}
  columns = {'image': pa.array(column, IMAGE), 'label': pa.array([0] * 5)}
  path = write(tmp_path / 'a', kind, columns)
  (tmp_path / 'a' / 'inside').mkdir()
  (tmp_path / 'a' / 'inside' / '1.png').write_bytes(good[1])
  (tmp_path / '2.png').write_bytes(good[2])
  config = config_of('huggingface', tmp_path / 'a', max_bad_fraction=0.9)
  bad = BadImages(registry.load(config, 'train'), config.data)
  assert evaluated(config, 'train', bad) == [(1, 0), (4, 0)]
  starts = [
    f"{path}, row 1: '/etc/passwd' is the path of an image that is not in the "
    'dataset: datasets.save_to_disk stores the images themselves',
    f"{path}, row 2: '../2.png' is the path of an image that is not in the ",
    f'{path}, row 3: there is no image, and no path of one',
  ]
  for line, start in zip(bad.lines, starts, strict=True):
    assert start in line.replace('ValueError: ', '')


@pytest.mark.parametrize('kind', ['arrow', 'parquet'])
def test_labels_and_columns_that_are_none(kind, tmp_path):
  image = pa.array([PNG] * 3)
  label = pa.array([-1, None, -1])
  write(tmp_path, kind, {'image': image, 'label': label}, 'a')
  write(tmp_path, kind, {'label': label}, 'b')
  write(tmp_path, kind, {'image': image, 'x': pa.array([0.5] * 3)}, 'c')
  write(tmp_path, kind, {'image': image[:0], 'label': label[:0]}, 'd')
  config = config_of('huggingface', tmp_path)
  assert faults_of(registry.load, config, 'a') == [
    f'{tmp_path}: a: label of 3 of 3 images is missing; a split without labels '
    'cannot be used'
  ]
  (fault,) = faults_of(registry.load, config, 'b')
  assert fault.endswith(': no column of images, it has label (int64)')
  (fault,) = faults_of(registry.load, config, 'c')
  assert ': no column of class labels, it has image (binary), x ' in fault
  assert faults_of(registry.load, config, 'd') == [
    f'{tmp_path}: d has no images'
  ]


def test_damaged_arrow(tmp_path):
  folder = written_datasets.copy('arrow', tmp_path)
  config = config_of('huggingface', folder)
  state = folder / 'train' / 'state.json'
  paths = sorted((folder / 'train').glob('*.arrow'))
  content = paths[0].read_bytes()
  paths[0].write_bytes(content[:-500])
  paths[1].write_bytes(b'ARROW1\0\0' + content)
  faults = faults_of(registry.load, config, 'train')
  assert [fault.split(' cannot be read: ')[0] for fault in faults] == [
    *map(str, paths)
  ]
  paths[1].unlink()
  assert registry.check(config) == [f'{folder}/train lacks {paths[1].name}']
  for names in ([{'filename': '../../x.arrow'}], [], 3, [{}]):
    state.write_text(json.dumps({'_data_files': names}))
    assert registry.check(config) == [
      f'data.dir={state}: _data_files is not a list of files beside it'
    ]
  options = pa.ipc.IpcWriteOptions(compression='zstd')
  columns = {'image': pa.array([PNG * 99] * 3), 'label': pa.array([0, 1, 0])}
  path = write(tmp_path / 'b', 'arrow', columns, options=options)
  config = config_of('huggingface', tmp_path / 'b')
  assert faults_of(registry.load, config, 'train') == [
    f'{path} cannot be read: it is compressed: save it with '
    'datasets.save_to_disk'
  ]


@pytest.mark.slow
def test_damaged_parquet(tmp_path):
  folder = written_datasets.copy('parquet', tmp_path)
  config = config_of('huggingface', folder, max_bad_fraction=0.5)
  first, second = sorted((folder / 'data').glob('train-*'))
  content = first.read_bytes()
  # The header of the images' page, in the first of two row groups.
  group = parquet.ParquetFile(first).metadata.row_group(0)
  assert (group.column(1).path_in_schema, group.num_rows) == ('img.bytes', 3)
  at = group.column(1).data_page_offset
  first.write_bytes(content[:at] + b'\xff' * 12 + content[at + 12 :])
  bad = BadImages(registry.load(config, 'train'), config.data)
  seen = evaluated(config, 'train', bad)
  assert [number for number, _ in seen] == [*range(3, 11)]
  assert [line.split(': ')[0] for line in bad.lines] == [
    f'{first}, row {i}' for i in range(3)
  ]
  first.write_bytes(content[:-20])
  (fault,) = faults_of(registry.load, config, 'train')
  assert fault.startswith(f'{first} cannot be read: ')
  second.unlink()
  assert registry.check(config) == [f'{folder}/data lacks train-00001-of-00002']
  (folder / 'other').mkdir()
  first.rename(folder / 'other' / 'test-00000-of-00001.parquet')
  assert registry.check(config) == [
    f'data.dir={folder}: the split test is in data and in other: set '
    '--config.data.dir to the folder of one dataset'
  ]


def test_balanced_sampling_needs_arrow():
  folder = written_datasets.FOLDER / 'parquet'
  config = config_of('huggingface', folder, sampling='balanced')
  (fault,) = faults_of(registry.load, config, 'train')
  assert 'save_to_disk' in fault
  config = config_of('huggingface', folder, class_weights='balanced')
  assert registry.load(config, 'train').labels.tolist() == [0, 1, 2] * 3 + [
    0,
    1,
  ]

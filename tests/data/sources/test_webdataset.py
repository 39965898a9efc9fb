"""`webdataset`: tars that the webdataset package wrote, and hostile ones."""

import json

import pytest

from inception_jax import errors
from inception_jax.data import config_check
from inception_jax.data.bad_images import BadImages
from inception_jax.data.sources import registry
from inception_jax.data.sources import webdataset
from tests.support import written_datasets
from tests.support.tar_files import tar
from tests.support.written_datasets import config_of
from tests.support.written_datasets import evaluated


@pytest.fixture
def folder(tmp_path):
  return written_datasets.copy('webdataset', tmp_path)


def faults_of(function, *args):
  with pytest.raises(errors.UserError) as error:
    function(*args)
  return list(error.value.faults)


@pytest.mark.slow
def test_what_the_package_wrote(folder):
  config = config_of('webdataset', folder)
  assert config_check.check(config) == []
  # Labels in KEY.json here, in KEY.cls for training.
  assert evaluated(config, 'test') == [(i, i % 3) for i in range(5)]
  opened = registry.load(config, 'test')
  assert opened.name(3) == f'{folder}/test-000000.tar, n/0003.png'
  assert opened.class_names == ('0', '1', '2')
  (folder / 'classnames.txt').write_text('cat\ndog\nhen\n')
  assert registry.load(config, 'test').class_names == written_datasets.NAMES
  written_datasets.check_order(config)


@pytest.mark.slow
def test_names_of_splits(folder):
  config = config_of('webdataset', folder, eval_split='val')
  (folder / '._train-000007.tar').write_bytes(b'of macOS')
  (fault,) = registry.check(config)
  assert fault.startswith("data.eval_split='val': no shards val-000000.tar …")
  assert "--config.data.eval_split='shard-{000000..000127}.tar'" in fault
  config.data.eval_split = 'te{st,xt}-{000000..000001}.tar'
  assert registry.check(config) == [
    f'{folder} lacks {name}'
    for name in ('test-000001.tar', 'text-000000.tar', 'text-000001.tar')
  ]
  config.data.eval_split = 'test-{000000..000000}.tar'
  assert registry.check(config) == []
  assert len(evaluated(config, config.data.eval_split)) == 5
  # A shard between others is missing; the names of datasets come first.
  (folder / 'train-000001.tar').rename(folder / 'train-000002.tar')
  assert registry.check(config) == [f'{folder} lacks train-000001.tar']
  (folder / 'test').mkdir()
  (folder / 'test-000000.tar').rename(folder / 'test' / '0.tar')
  (folder / 'train-000000.tar').rename(folder / 'x-train-0.tar')
  (folder / 'train-000002.tar').rename(folder / 'x-train-1.tar')
  config.data.eval_split = 'test'
  assert registry.check(config) == []
  assert len(evaluated(config, 'train')) == 11
  assert len(evaluated(config, 'test')) == 5


def test_timms_list_of_shards(folder):
  config = config_of('webdataset', folder, train_split='a', eval_split='b')
  split = lambda *names: {'filenames': names, 'num_samples': 1}
  info = {'splits': {'a': split('train-000001.tar'), 'b': split('x.tar')}}
  (folder / '_info.json').write_text(json.dumps(info))
  assert registry.check(config) == [f'{folder} lacks x.tar']
  assert [number for number, _ in evaluated(config, 'a')] == [*range(6, 11)]
  info['splits']['b'] = split('../x.tar', '/x.tar')
  (folder / '_info.json').write_text(json.dumps(info))
  with pytest.raises(errors.UserError) as error:
    webdataset.check(config)
  assert error.value.faults == tuple(
    f'{folder}/_info.json names a file elsewhere: {name}'
    for name in ('../x.tar', '/x.tar')
  )
  (folder / '_info.json').write_text('[]')
  assert 'cannot be read' in registry.check(config)[0]


@pytest.mark.slow
def test_held_out_images(folder):
  for i, path in enumerate(sorted(folder.iterdir())):
    path.rename(folder / f'shard-{i}.tar')
  config = config_of('webdataset', folder, eval_split='val', val_fraction=0.4)
  assert config_check.check(config) == []
  parts = [evaluated(config, split) for split in ('train', 'val')]
  assert {*parts[0]} | {*parts[1]} == {(i, i % 3) for i in range(11)}
  assert len(parts[0]) + len(parts[1]) == 16
  assert 3 <= len(parts[1]) <= 8
  config.data.eval_split = 'train'
  assert 'another name, such as val' in registry.check(config)[0]


def test_recognizes(folder, tmp_path):
  assert next(webdataset.recognize(folder))
  assert next(webdataset.recognize(folder.parent))
  # ImageNet's archives have no labels.
  (tmp_path / 'other').mkdir()
  (tmp_path / 'other' / 'n01.tar').write_bytes(tar([('n01_1.JPEG', b'x')]))
  assert not list(webdataset.recognize(tmp_path / 'other'))
  assert not list(webdataset.recognize(tmp_path / 'webdataset' / 'x'))


@pytest.mark.parametrize(
  ('members', 'fault'),
  [
    (['a.jpg'], 'a has no label, .cls or .json: its files are .jpg'),
    (['a.cls'], 'a has no image: its files are .cls'),
    (['a.heic', 'a.cls'], 'a has no image: its files are .heic, .cls'),
    (['a.jpg', 'a.png', 'a.cls'], 'a has more than one image or label: '),
    (['a.jpg', 'a.cls', 'a.cls'], 'a has more than one image or label: '),
    (['a.jpg', ('a.cls', b'-1')], 'a.cls is no label: it should be a number'),
    (['a.jpg', ('a.cls', b'cat')], 'a.cls is no label: it should be a number'),
    (['a.jpg', ('a.json', b'{"label": true}')], 'a.json is no label: it '),
    (['a.jpg', ('a.json', b'[' * 9999)], 'a.json is no label: it '),
    (['a.jpg', ('a.cls', bytes(2**20 + 1))], 'a.cls has 1048577 bytes'),
  ],
)
def test_samples_that_are_none(tmp_path, members, fault):
  members = [x if isinstance(x, tuple) else (x, b'1') for x in members]
  path = tmp_path / 'train-0.tar'
  good = [('../0.jpg', b''), ('../0.cls', b'0\n'), ('__x__.json', b'')]
  path.write_bytes(tar([*good, *members]))
  config = config_of('webdataset', tmp_path, eval_split='train')
  assert registry.check(config) == []
  (line,) = faults_of(registry.load, config, 'train')
  assert line.startswith(f'{path}: {fault}')


def test_labels_out_of_range_and_damage(folder):
  config = config_of('webdataset', folder)
  (folder / 'classnames.txt').write_text('cat\ndog\n')
  assert faults_of(registry.load, config, 'test') == [
    f'{folder}/test-000000.tar: n/0002.png has label 2, expected 0 to 1'
  ]
  (folder / 'classnames.txt').unlink()
  paths = sorted(folder.glob('train-*'))
  contents = [path.read_bytes() for path in paths]
  paths[0].write_bytes(contents[0][:1000])
  paths[1].write_bytes(b'\x1f\x8b' + contents[1])
  start = 'not a whole, uncompressed .tar'
  assert faults_of(registry.load, config, 'train') == [
    f'{paths[0]}: {start}: truncated or damaged: empty header',
    f'{paths[1]}: {start}: truncated or damaged: bad checksum',
  ]


@pytest.mark.slow
def test_damaged_image_is_named_and_skipped(folder):
  config = config_of('webdataset', folder, max_bad_fraction=0.3)
  path = folder / 'test-000000.tar'
  content = path.read_bytes()
  opened = registry.load(config, 'test')
  second = content.index(b'\x89PNG', content.index(b'\x89PNG') + 1)
  path.write_bytes(content[: second + 1] + b'X' + content[second + 2 :])
  bad = BadImages(opened, config.data)
  assert [x for x, _ in evaluated(config, 'test', bad)] == [0, 2, 3, 4]
  (line,) = bad.lines
  assert line.startswith(f'{path}, n/0001.png: ')
  # The file ends within the image, after it has been indexed.
  path.write_bytes(content[: second + 10])
  with pytest.raises(Exception, match=r'the file ends \d+ bytes early'):
    opened.fetch(1)

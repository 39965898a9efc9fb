"""`folder`: class folders and list files."""

import errno
import hashlib
import os
import shutil
import unicodedata
import zipfile

import numpy as np
from PIL import Image
import pytest

from configs import digits
from inception_jax import errors
from inception_jax.data import bad_images
from inception_jax.data import config_check
from inception_jax.data import image_files
from inception_jax.data import pipeline
from inception_jax.data.sources import image_list
from inception_jax.data.sources import registry
from inception_jax.models import factory
from inception_jax.training import preflight
from inception_jax.training import run as run_lib
from tests.support import zip_files
from tests.support.image_folders import config_of
from tests.support.image_folders import write_image

GREYS = {'cat': 40, 'dog': 120, 'newt': 200}


@pytest.fixture
def folder(tmp_path):
  """Two classes with two images and one class with one, in each split."""
  for split in ('train', 'val'):
    for name, grey in GREYS.items():
      write_image(tmp_path / split / name / 'a.png', grey)
    write_image(tmp_path / split / 'cat' / 'deep' / 'er' / 'b.JPG', 41)
    write_image(tmp_path / split / 'dog' / 'ü b.jpeg', 121)
    (tmp_path / split / 'cat' / 'Thumbs.db').write_bytes(b'?')
    (tmp_path / split / '.cache').mkdir()
  return tmp_path


def pillow_rgb(path):
  with Image.open(path) as image:
    return np.asarray(image.convert('RGB'))


def contents(config, split):
  """(grey, label) of each image, in order."""
  opened = registry.load(config, split)
  batches = pipeline.eval_batches(opened, config.data, 4, range(4))
  return [
    (round(float(image.mean())), int(label))
    for batch in batches
    for image, label, mask in zip(*batch.values(), strict=True)
    if mask
  ], opened.class_names


@pytest.mark.slow
@pytest.mark.parametrize('name', ['val', 'validation', 'validation_preprocess'])
def test_classes_are_folders(folder, name):
  (folder / 'val').rename(folder / name)
  config = config_of(folder)
  assert registry.check(config) == []
  for split in ('train', 'validation'):
    seen, names = contents(config, split)
    assert names == ('cat', 'dog', 'newt')
    assert seen == [(40, 0), (41, 0), (120, 1), (121, 1), (200, 2)]
  config.data.eval_split = 'test'
  (problem,) = registry.check(config)
  assert "data.eval_split='test': neither a folder test nor" in problem
  assert f'which contains train, {name}' in problem
  assert problem.endswith('val_fraction=0.1 holds out a tenth of the images')


@pytest.mark.slow
def test_data_dir_may_be_the_folder_of_a_split(folder):
  config = config_of(folder / 'val', train_split='val')
  assert registry.check(config) == []
  assert contents(config, 'validation')[0][-1] == (200, 2)
  # Other splits are then looked for in the parent folder.
  config = config_of(folder / 'val')
  assert contents(config, 'train')[0][-1] == (200, 2)
  config = config_of(folder / 'train' / 'cat', eval_split='.')
  (problem,) = registry.check(config)
  assert "data.train_split='train'" in problem
  config = config_of(folder / 'train', train_split='.', eval_split='.')
  assert contents(config, '.')[1] == ('cat', 'dog', 'newt')


def test_labels_follow_the_classes_of_the_training_split(folder):
  (folder / 'val' / 'cat').rename(folder / 'val' / 'zebra')
  (folder / 'train' / 'newt' / 'a.png').unlink()
  config = config_of(folder)
  with pytest.raises(errors.UserError) as error:
    registry.load(config, 'validation')
  assert error.value.faults == (
    f'{folder}/val/zebra: the training split has no class of this name',
    f'{folder}/val/cat: the class has no images',
    '--config.data.allow_missing_classes=True evaluates without them',
  )
  with pytest.raises(errors.UserError, match='newt: the class has no'):
    registry.load(config, 'train')
  empty = folder / 'empty' / 'train'
  empty.mkdir(parents=True)
  with pytest.raises(errors.UserError, match='has no class folders'):
    registry.load(config_of(empty), 'train')


def test_classes_may_lack_evaluation_images_where_that_is_allowed(
  folder, caplog
):
  shutil.rmtree(folder / 'val' / 'dog')
  (folder / 'val' / 'newt' / 'a.png').unlink()
  config = config_of(folder, allow_missing_classes=True)
  seen, names = contents(config, 'validation')
  assert (seen, names) == ([(40, 0), (41, 0)], ('cat', 'dog', 'newt'))
  for name in ('dog', 'newt'):
    assert f'{folder}/val/{name}: the class has no images' in caplog.text
  shutil.rmtree(folder / 'train' / 'newt')
  (folder / 'train' / 'newt').mkdir()
  with pytest.raises(errors.UserError, match='newt: the class has no images'):
    registry.load(config, 'train')
  shutil.rmtree(folder / 'val')
  (folder / 'val' / 'cat').mkdir(parents=True)
  with pytest.raises(errors.UserError, match='cat: the class has no images'):
    registry.load(config, 'validation')


@pytest.mark.slow
def test_lists_take_precedence_over_folders(folder):
  (folder / 'train_list.txt').write_text(
    'train/dog/a.png 0\n\ntrain/dog/ü b.jpeg\t0\ntrain/cat/a.png 1\n'
  )
  (folder / 'val_list.txt').write_text('val/dog/a.png 1\nval/newt/a.png 0\n')
  config = config_of(folder)
  seen, names = contents(config, 'train')
  assert seen == [(120, 0), (121, 0), (40, 1)]
  assert names == ('dog', 'cat')
  assert contents(config, 'validation') == ([(120, 1), (200, 0)], names)
  (folder / 'train' / 'train_list.txt').write_text('dog/a.png 0\ncat/a.png 1\n')
  (folder / 'train_list.txt').rename(folder / 'other.txt')
  seen, names = contents(config_of(folder / 'train'), 'train')
  assert (seen, names) == ([(120, 0), (40, 1)], ('dog', 'cat'))


@pytest.mark.parametrize(
  ('lines', 'names'),
  [
    ('train/n02/a.png 0, train/n01/b.png 1', ('n02', 'n01')),
    (
      'train/cat/deep/er/a.png 0, train/cat/b.png 0, train/dog/c.png 1',
      'cat dog',
    ),
    ('/x/hut/in/a 0, /x/hut/out/b 1, /x/bar/in/c 2', 'hut/in hut/out bar/in'),
    ('a.png 1, b.png 0', '0 1'),
    ('train/a.png 0, train/b.png 1', '0 1'),
    ('2019/a.png 0, 2019/b.png 1, 2020/c.png 0', '0 1'),
    ('all/a.png 0, all/b.png 0', 'all'),
  ],
)
def test_classes_of_a_list_have_the_names_of_their_folders(
  tmp_path, lines, names
):
  listed = tmp_path / 'train_list.txt'
  listed.write_text(lines.replace(', ', '\n'))
  names = names.split() if isinstance(names, str) else names
  assert image_list.class_names(listed) == list(names)


def test_two_folders_that_name_one_class_of_a_list_are_an_error(tmp_path):
  listed = tmp_path / 'train_list.txt'
  listed.write_text('cat/a.png 0\nkitten/b.png 0\ncat/c.png 0\ndog/d.png 1\n')
  with pytest.raises(errors.UserError) as error:
    image_list.class_names(listed)
  (fault,) = error.value.faults
  assert "'cat/a.png 0' and 'kitten/b.png 0'" in fault
  listed.write_text('a.png 0\ncat/b.png 1\n')
  assert image_list.class_names(listed) == ['0', '1']


@pytest.mark.slow
def test_a_list_may_have_a_mark_and_be_relative_to_its_split(folder):
  lines = 'dog/a.png 0\ncat/a.png 1\n'
  (folder / 'train_list.txt').write_text('\ufeff' + lines, encoding='utf-8')
  (folder / 'val_list.txt').write_text(lines)
  config = config_of(folder)
  for split in ('train', 'val'):
    assert contents(config, split) == ([(120, 0), (40, 1)], ('dog', 'cat'))


def test_every_mistake_in_a_list_is_reported(folder):
  config = config_of(folder)
  (folder / 'train_list.txt').write_text('train/dog/a.png 0\n')
  (folder / 'val_list.txt').write_text(
    'val/dog/a.png 0\nval/dog/gone.png 0\nval/nowhere/a.png 0\n'
    'val/cat/a.png 7\n'
  )
  with pytest.raises(errors.UserError) as error:
    registry.load(config, 'validation')
  assert error.value.faults == (
    f'{folder}/val_list.txt: {folder}/val/cat/a.png has label 7, training has '
    '0 to 0',
    f'{folder}/val_list.txt: missing file {folder}/val/dog/gone.png',
    f'{folder}/val_list.txt: missing file {folder}/val/nowhere/a.png',
  )
  (folder / 'train_list.txt').write_text('train/dog/a.png\na -1\n b 99999999\n')
  with pytest.raises(errors.UserError) as error:
    registry.load(config, 'train')
  assert [line.split(': ')[0] for line in error.value.faults] == [
    f'{folder}/train_list.txt, line {i}' for i in (1, 2, 3)
  ]
  (folder / 'train_list.txt').write_text('train/dog/a.png 2\n')
  with pytest.raises(errors.UserError, match='no image has label 1'):
    registry.load(config, 'train')
  (folder / 'train_list.txt').write_text('\n')
  with pytest.raises(errors.UserError, match='lists no images'):
    registry.load(config, 'train')


@pytest.mark.parametrize(
  ('line', 'fault'),
  [
    (b'a.png ' + b'9' * 5000, "not 'a.png 9{74}'$"),
    (b'a.png ' + b'0' * 5000, "not 'a.png 0{74}'$"),
    (b'a' * 10**7, "not 'a{80}'$"),
    (b'a' * 10**7 + b' 0', 'missing file .*a{900}$'),
    (b'a\0.png 0', r'missing file .*a\\x00\.png$'),
    (b'caf\xe9.png 0', r'missing file .*caf\\udce9\.png$'),
  ],
)
def test_hostile_lines_of_a_list_are_errors(folder, line, fault):
  write_image(folder / 'first.png', 0)
  (folder / 'train_list.txt').write_bytes(b'first.png 0\n' + line)
  with pytest.raises(errors.UserError, match=fault) as error:
    registry.load(config_of(folder), 'train')
  (line,) = error.value.faults
  assert len(line) < 3000


def test_names_that_are_not_utf8_are_read(folder):
  place = os.fsencode(folder / 'train' / 'dog') + b'\xe9\n'
  os.rename(folder / 'train' / 'dog', place)
  os.rename(place + b'/a.png', place + b'/\xe9\x1b.png')
  config = config_of(folder)
  split = registry.load(config, 'train')
  assert split.class_names == ('cat', 'dog\udce9\n', 'newt')
  assert len(contents(config, 'train')[0]) == 5


def test_what_is_left_out_is_counted_and_named(folder, caplog):
  cat = folder / 'train' / 'cat'
  for name in ('@eaDir/a.jpg', '._a.jpg', '.ipynb_checkpoints/a.png'):
    write_image(cat / name, 0)
  for name in ('a.PSD', 'b.psd', 'c.heic', 'd.JFIF', 'e.jpe', 'f.TIF'):
    write_image(cat / name, 0, format='JPEG')
  write_image(folder / 'train' / '__MACOSX' / 'a.jpg', 0)
  write_image(folder / 'train' / 'lost+found' / 'a.jpg', 0)
  split = registry.load(config_of(folder), 'train')
  assert (split.size, split.class_names) == (8, ('cat', 'dog', 'newt'))
  left_out, unread = [
    record.getMessage()
    for record in caplog.records
    if record.levelname == 'WARNING'
  ]
  assert left_out == (
    f'left out: 6 hidden ({folder}/train/.cache), 2 .psd ({cat}/a.PSD), '
    f'1 .db ({cat}/Thumbs.db), 1 .heic ({cat}/c.heic)'
  )
  assert unread.startswith('images that are not read: .heic, .psd; convert')


def test_every_folder_that_cannot_be_read_is_named(folder, monkeypatch):
  closed = [folder / 'train' / 'cat' / 'deep', folder / 'train' / 'newt']
  scandir = os.scandir  # root may read everything

  def guarded(path):
    if path in map(str, closed):
      raise PermissionError(errno.EACCES, 'Permission denied')
    return scandir(path)

  monkeypatch.setattr(os, 'scandir', guarded)
  expected = tuple(f'{x} cannot be read: Permission denied' for x in closed)
  with pytest.raises(errors.UserError) as error:
    registry.load(config_of(folder), 'train')
  assert error.value.faults == expected
  with pytest.raises(errors.UserError) as error:
    image_files.find([str(folder / 'train')])
  assert error.value.faults == expected


def test_training_needs_two_classes_and_says_where_they_may_be(
  folder, one_device
):
  (folder / 'train').rename(folder / 'photos')
  (folder / 'train').mkdir()
  (folder / 'photos').rename(folder / 'train' / 'photos')
  shutil.rmtree(folder / 'val')
  (folder / 'val' / 'photos').mkdir(parents=True)
  write_image(folder / 'val' / 'photos' / 'a.png', 0)
  with pytest.raises(errors.UserError) as error:
    run_lib.prepare(config_of(folder), '', one_device)
  train = folder / 'train'
  assert error.value.faults == (
    'the training images are of one class, photos; two are needed',
    f'each class has a folder of its own: {train}/CLASS/IMAGE.jpg',
    f'{train}/photos has 3 folders, such as cat: if these are the classes, '
    f'move them to {train}',
  )
  # One level too high, and too deep.
  (folder / 'up' / 'mine' / 'train').mkdir(parents=True)
  *_, fault = registry.check(config_of(folder / 'up'))
  assert fault.endswith(f'is it --config.data.dir={folder}/up/mine?')
  *_, fault = registry.check(config_of(train / 'photos' / 'dog'))
  assert fault.startswith(f'{train}/photos/dog has images and no folders')


def test_a_link_to_a_parent_folder_is_not_followed_forever(folder):
  (folder / 'train' / 'newt' / 'up').symlink_to(folder / 'train' / 'newt')
  assert len(contents(config_of(folder), 'train')[0]) == 5


def test_only_regular_files_are_opened(folder):
  (folder / 'train' / 'cat' / 'c.png').symlink_to('a.png')
  config = config_of(folder)
  assert len(contents(config, 'train')[0]) == 6
  cat = folder / 'train' / 'cat'
  os.mkfifo(cat / 'pipe.png')
  (cat / 'deep' / 'device.png').symlink_to('/dev/zero')
  (cat / 'deep' / 'loop.png').symlink_to('loop.png')
  (cat / 'deep' / 'gone.png').symlink_to('nothing')
  with pytest.raises(errors.UserError) as error:
    registry.load(config, 'train')
  assert [line.split(' cannot be read: ') for line in error.value.faults] == [
    [f'{cat}/pipe.png', 'not a regular file, but a pipe, socket or device'],
    [
      f'{cat}/deep/device.png',
      'not a regular file, but a pipe, socket or device',
    ],
    [f'{cat}/deep/gone.png', 'No such file or directory'],
    [f'{cat}/deep/loop.png', 'Too many levels of symbolic links'],
  ]
  # A circle beside classes and listed files is none of them.
  (folder / 'train' / 'loop').symlink_to('loop')
  (folder / 'val_list.txt').write_text(
    'train/cat/a.png 0\ntrain/cat/pipe.png 0\ntrain/cat/deep/loop.png 1\n'
  )
  with pytest.raises(errors.UserError) as error:
    registry.load(config, 'validation')
  assert error.value.faults == (
    f'{folder}/val_list.txt: not a regular file: {cat}/pipe.png',
    f'{folder}/val_list.txt: missing file {cat}/deep/loop.png',
  )
  os.mkfifo(folder / 'train_list.txt')
  with pytest.raises(errors.UserError, match='cannot be read: not a reg'):
    registry.load(config, 'train')


FORMATS = {
  'rgb.jpg': ('RGB', {}),
  'grey.jpg': ('L', {}),
  'cmyk.jpg': ('CMYK', {}),
  'rgb.png': ('RGB', {}),
  'grey.png': ('L', {}),
  'alpha.png': ('RGBA', {}),
  'greyalpha.png': ('LA', {}),
  'palette.png': ('P', {}),
  'bits.png': ('1', {}),
  'lossy.webp': ('RGB', {'quality': 95}),
  'lossless.webp': ('RGBA', {'lossless': True}),
  'rgb.bmp': ('RGB', {}),
  'palette.bmp': ('P', {}),
  'grey.bmp': ('L', {}),
  'still.gif': ('P', {}),
}


@pytest.mark.slow
@pytest.mark.parametrize('crop', ['none', 'resized'])
def test_every_image_format_is_decoded_to_rgb(tmp_path, crop):
  ramp = np.linspace(0, 255, 12 * 12 * 3).reshape(12, 12, 3).astype(np.uint8)
  expected = {}
  for name, (mode, kwargs) in FORMATS.items():
    image = Image.fromarray(ramp).convert(mode)
    path = tmp_path / 'train' / 'x' / name
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **kwargs)
    expected[name] = pillow_rgb(path)
  first, second = (Image.new('P', (12, 12), color) for color in (3, 9))
  path = tmp_path / 'train' / 'x' / 'moving.gif'
  first.save(path, save_all=True, append_images=[second])
  expected['moving.gif'] = pillow_rgb(path)

  config = config_of(tmp_path, train_crop=crop, eval_crop_fraction=1.0)
  config.batch_size = len(expected)
  rows = range(config.batch_size)
  opened = registry.load(config, 'train')
  (batch,) = pipeline.eval_batches(opened, config.data, len(rows), rows)
  for name, image in zip(sorted(expected), batch['image'], strict=True):
    difference = np.abs(image.astype(int) - expected[name])
    assert difference.max() <= 6, name
  trained = next(pipeline.train_batches(opened, config, 0, rows))
  assert trained['image'].shape == (len(rows), 12, 12, 3)
  if crop == 'none':
    together = lambda images: sorted(image.tobytes() for image in images)
    assert together(trained['image']) == together(batch['image'])


def test_a_missing_folder_is_reported(tmp_path):
  (problem,) = registry.check(config_of(tmp_path / 'gone'))
  assert 'is not a folder' in problem
  (problem,) = registry.check(config_of(''))
  assert 'data.dir is missing' in problem


def test_loading_a_split_opens_no_image(tmp_path):
  for name in range(3):
    write_image(tmp_path / 'train' / str(name) / 'a.png', 0)
    (tmp_path / 'train' / str(name) / 'b.png').touch()  # not an image
  assert registry.load(config_of(tmp_path), 'train').size == 6


def test_folders_that_are_numbers_are_sorted_as_numbers(tmp_path):
  for i, name in enumerate(('0', '2', '10', '007')):
    write_image(tmp_path / 'train' / name / 'a.png', 20 * i)
  config = config_of(tmp_path)
  names = lambda: registry.load(config, 'train').class_names
  assert names() == ('0', '2', '007', '10')
  assert contents(config, 'train')[0] == [(0, 0), (20, 1), (60, 2), (40, 3)]
  config.data.class_order = 'text'
  assert names() == ('0', '007', '10', '2')
  # One other name makes all of them text.
  write_image(tmp_path / 'train' / 'x' / 'a.png', 0)
  config.data.class_order = ''
  assert names() == ('0', '007', '10', '2', 'x')


@pytest.fixture
def unsplit(tmp_path):
  """Two classes of 30 images each, without splits."""
  for i in range(30):
    for j, name in enumerate(('cat', 'dog')):
      write_image(tmp_path / 'all' / name / f'é{i}.png', 100 * j + i)
  return tmp_path / 'all'


def parts(config, names=('train', 'val')):
  """The names of the images of each split, relative to their classes."""
  found = []
  for name in names:
    split = registry.load(config, name)
    images = map(split.name, range(split.size))
    found.append(['/'.join(image.split('/')[-2:]) for image in images])
  return found


@pytest.mark.parametrize('layout', ['classes', 'train', 'list', 'inside'])
def test_a_fraction_is_held_out_in_every_layout(unsplit, layout):
  root, expected = unsplit, None
  config = config_of(root, eval_split='val', val_fraction=0.2)
  expected = parts(config)
  if layout != 'classes':
    root = root.parent
    unsplit.rename(root / 'train')
    config = config_of(root, eval_split='val', val_fraction=0.2)
  if layout == 'inside':
    config.data.dir = str(root / 'train')
  if layout == 'list':
    images = [x for part in expected for x in part]
    lines = [f'{x} {int(x.startswith("dog"))}\n' for x in images]
    (root / 'train' / 'train_list.txt').write_text(''.join(lines))
    config.data.dir = str(root / 'train')
  assert registry.check(config) == []
  preflight.check(config, '', train=False)
  train, val = parts(config)
  assert [sorted(train), sorted(val)] == list(map(sorted, expected))
  assert len(train) + len(val) == 60
  assert not {*train} & {*val}
  assert 5 <= len(val) <= 20


def test_what_is_held_out_depends_on_the_name_of_the_image_alone(unsplit):
  config = config_of(unsplit, eval_split='val', val_fraction=0.2)
  train, val = parts(config)
  # By SHA-256 of 'cat/é6.png', in 0…1: as any other implementation.
  place = lambda x: int(hashlib.sha256(x.encode()).hexdigest()[:12], 16) / 2**48
  assert val == [x for x in val + train if place(x) < 0.2]
  for i in range(30, 60):
    write_image(unsplit / 'cat' / f'é{i}.png', 0)
  # macOS may write é as e with a combining accent.
  for i in range(30):
    path = unsplit / 'cat' / f'é{i}.png'
    path.rename(path.with_name(f'e\u0301{i}.png'))
  held = lambda: {unicodedata.normalize('NFC', x) for x in parts(config)[1]}
  assert {*val} == held() - {f'cat/é{i}.png' for i in range(30, 60)}
  config.data.val_fraction = 0.3
  assert {*val} < held()


def test_faulty_held_out_splits_are_reported(unsplit):
  config = config_of(unsplit, eval_split='train', val_fraction=0.2)
  (fault,) = registry.check(config)
  assert "data.eval_split='train' is data.train_split" in fault
  write_image(unsplit / 'newt' / 'a.png', 0)
  config.data.eval_split = 'val'
  with pytest.raises(errors.UserError) as error:
    registry.load(config, 'train')
  assert error.value.faults == (
    'data.val_fraction=0.2 holds out 0 of the 1 image(s) of class newt',
    'no fraction gives each class images to train and to evaluate on',
  )
  (unsplit / 'newt' / 'a.png').unlink()
  (unsplit / 'newt').rmdir()
  config.data.val_fraction = 0.001
  with pytest.raises(errors.UserError, match=r'from (\S+) to (\S+)$') as error:
    registry.load(config, 'val')
  for fraction in map(float, error.value.faults[-1].split()[-3::2]):
    config.data.val_fraction = fraction
    registry.load(config, 'val')
  # A second split for the same purpose.
  write_image(unsplit / 'validation' / 'cat' / 'a.png', 0)
  (fault, missing) = registry.check(config)
  assert f'but the split val exists: {unsplit}/validation' in fault
  assert "data.train_split='train': neither" in missing


def test_sources_that_cannot_hold_a_fraction_out():
  config = factory.resolve(digits.get_config())
  config.data.val_fraction = 0.1
  (fault,) = config_check.check(config)
  assert fault == (
    'data.val_fraction=0.1: expected 0, unless data.source is folder or '
    'huggingface or webdataset'
  )


def described(config, split):
  """A split's classes, labels, digest, and names below `data.dir`."""
  opened = registry.load(config, split)
  names = [
    os.path.relpath(opened.name(i), config.data.dir) for i in range(opened.size)
  ]
  return opened.class_names, list(opened.labels), opened.digest(), names


@pytest.mark.slow
@pytest.mark.parametrize(
  ('top', 'method'), [('', zipfile.ZIP_STORED), ('a/b/', zipfile.ZIP_DEFLATED)]
)
def test_a_zip_is_read_as_the_folder_that_it_has(folder, top, method, caplog):
  path = folder.parent / f'{folder.name}.zip'
  zip_files.pack(path, folder, top, method)
  with zipfile.ZipFile(path, 'a') as archive:  # as macOS adds
    archive.writestr(f'__MACOSX/{top}train/cat/._a.png', b'?')
    archive.writestr(f'{top}train/cat/._a.png', b'?')
  streams = []
  for where in (folder, path):
    config = config_of(where)
    assert registry.check(config) == []
    config.batch_size = 4
    split = registry.load(config, 'train')
    batches = pipeline.train_batches(split, config, 3, range(4))
    streams.append([next(batches) for _ in range(3)])
    batches.close()
  for a, b in zip(*streams, strict=True):
    np.testing.assert_equal(a, b)
  assert f'1 .db ({path}/{top}train/cat/Thumbs.db)' in caplog.text
  for split in ('train', 'val'):
    # By the digest, a resume takes one for the other.
    *expected, names = described(config_of(folder), split)
    *found, names_in_zip = described(config_of(path), split)
    assert found == expected
    assert names_in_zip == [f'{top}{name}' for name in names]


def test_a_zip_of_classes_or_of_one_split_is_read(folder):
  classes = folder / 'classes'
  for i in range(40):
    write_image(classes / 'ab'[i % 2] / f'{i}.png', i)
  kwargs = {'val_fraction': 0.3, 'eval_split': 'val'}
  expected = described(config_of(classes, **kwargs), 'val')
  for path, top in (('x.zip', ''), ('y.zip', 'flowers/')):
    path = zip_files.pack(folder / path, classes, top)
    config = config_of(path, **kwargs)
    assert registry.check(config) == []
    *found, names = described(config, 'val')
    assert found[:2] == list(expected[:2])
    assert names == [top + name for name in expected[3]]
  path = zip_files.pack(folder / 'z.zip', classes, 'train/')
  (problem,) = registry.check(config_of(path))
  assert f'in {path}, which contains train; --config.data.val' in problem


def test_a_zip_may_have_lists_of_its_images(folder):
  lists = folder / 'in'
  shutil.copytree(folder / 'val', lists / 'val')
  (lists / 'val_list.txt').write_text('val/dog/a.png 0\n')
  path = zip_files.pack(folder / 'x.zip', lists, 'top/')
  config = config_of(path, train_split='val')
  assert contents(config, 'val') == ([(120, 0)], ('dog',))
  (lists / 'val_list.txt').write_text('/etc/passwd 0\n')
  zip_files.pack(path, lists)
  with pytest.raises(errors.UserError, match='is not a file in'):
    registry.load(config, 'val')


@pytest.mark.slow
def test_a_damaged_image_in_a_zip_is_a_bad_image(folder, tmp_path):
  path = zip_files.pack(folder / 'x.zip', folder)
  with zipfile.ZipFile(path) as archive:
    at = archive.getinfo('train/cat/a.png').header_offset
  content = bytearray(path.read_bytes())
  content[at + 50] ^= 1
  path.write_bytes(content)
  config = config_of(path, max_bad_fraction=0.5)
  split = registry.load(config, 'train')
  bad = bad_images.BadImages(split, config.data)
  (batch,) = pipeline.eval_batches(split, config.data, 5, range(5), bad)
  assert batch['mask'].tolist() == [0, 1, 1, 1, 1]
  (line,) = bad.lines
  assert line.startswith(f'{path}/train/cat/a.png: ')
  assert 'its size or checksum is not that in the archive' in line
  config.batch_size = 4
  assert next(pipeline.train_batches(split, config, 0, range(4)))


def test_a_zip_that_is_refused_is_named(folder):
  path = folder / 'x.zip'
  path.write_bytes(zip_files.raw(zip_files.entry('../a.jpg')))
  (problem,) = registry.check(config_of(path))
  assert problem == f"data.dir={path}: '../a.jpg': lies outside of the archive"
  path.write_bytes(b'PK')
  (problem,) = registry.check(config_of(path))
  assert problem.startswith(f'data.dir={path} cannot be read: ')

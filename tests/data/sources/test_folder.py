"""`folder`: class folders and list files, as they lie on users' disks."""

import numpy as np
from PIL import Image
import pytest

from configs import digits as digits_recipe
from inception_jax import errors
from inception_jax.data import pipeline
from inception_jax.data.bad_images import BadImages
from inception_jax.data.sources import registry
from inception_jax.models import factory

GREYS = {'cat': 40, 'dog': 120, 'newt': 200}


def picture(path, grey, mode='RGB', **kwargs):
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.new('L', (14, 12), grey).convert(mode).save(path, **kwargs)


@pytest.fixture
def folder(tmp_path):
  """Two classes of two images and one of one, in each split."""
  for split in ('train', 'val'):
    for name, grey in GREYS.items():
      picture(tmp_path / split / name / 'a.png', grey)
    picture(tmp_path / split / 'cat' / 'deep' / 'er' / 'b.JPG', 41)
    picture(tmp_path / split / 'dog' / 'ü b.jpeg', 121)
    (tmp_path / split / 'cat' / 'Thumbs.db').write_bytes(b'?')
    (tmp_path / split / '.cache').mkdir()
  return tmp_path


def as_pil_reads(path):
  with Image.open(path) as image:
    return np.asarray(image.convert('RGB'))


def config_of(folder, **data):
  config = factory.resolve(digits_recipe.get_config())
  config.data.source = 'folder'
  config.data.dir = str(folder)
  config.data.image_size = 12
  config.data.eval_split = 'validation'
  config.data.update(data)
  return config


def contents(config, split):
  """(grey, label) of each image, in order."""
  opened = registry.load(config, split)
  batches = pipeline.eval_batches(opened, config, 4, range(4))
  return [
    (round(float(image.mean())), int(label))
    for batch in batches
    for image, label, mask in zip(*batch.values(), strict=True)
    if mask
  ], opened.class_names


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
  (fault,) = registry.check(config)
  assert "data.eval_split='test': neither a folder test nor" in fault
  assert f'it has train, {name}' in fault


def test_one_split_given_directly(folder):
  config = config_of(folder / 'val', train_split='val')
  assert registry.check(config) == []
  assert contents(config, 'validation')[0][-1] == (200, 2)
  # Its neighbour is found, too, as it is from the folder above both.
  config = config_of(folder / 'val')
  assert contents(config, 'train')[0][-1] == (200, 2)
  config = config_of(folder / 'train' / 'cat', eval_split='.')
  (fault,) = registry.check(config)
  assert "data.train_split='train'" in fault
  config = config_of(folder / 'train', train_split='.', eval_split='.')
  assert contents(config, '.')[1] == ('cat', 'dog', 'newt')


def test_labels_are_those_of_training(folder):
  (folder / 'val' / 'cat').rename(folder / 'val' / 'zebra')
  (folder / 'train' / 'newt' / 'a.png').unlink()
  config = config_of(folder)
  with pytest.raises(errors.UserError) as error:
    registry.load(config, 'validation')
  assert error.value.faults == (
    f'{folder}/val/zebra: training has no class of this name',
    f'{folder}/val/cat: the class has no images',
  )
  with pytest.raises(errors.UserError, match='newt: the class has no'):
    registry.load(config, 'train')
  empty = folder / 'empty' / 'train'
  empty.mkdir(parents=True)
  with pytest.raises(errors.UserError, match='has no folders of classes'):
    registry.load(config_of(empty), 'train')


def test_lists_go_before_folders(folder):
  (folder / 'train_list.txt').write_text(
    'train/dog/a.png 0\n\ntrain/dog/ü b.jpeg\t0\ntrain/cat/a.png 1\n'
  )
  (folder / 'val_list.txt').write_text('val/dog/a.png 1\nval/newt/a.png 0\n')
  config = config_of(folder)
  seen, names = contents(config, 'train')
  assert seen == [(120, 0), (121, 0), (40, 1)]
  assert names == ('0', '1')  # all of them lie in `train`
  assert contents(config, 'validation') == ([(120, 1), (200, 0)], ('0', '1'))
  (folder / 'train' / 'train_list.txt').write_text('dog/a.png 0\ncat/a.png 1\n')
  (folder / 'train_list.txt').rename(folder / 'other.txt')
  seen, names = contents(config_of(folder / 'train'), 'train')
  assert (seen, names) == ([(120, 0), (40, 1)], ('dog', 'cat'))


def test_every_fault_of_a_list_is_said(folder):
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
    f'{folder}/val_list.txt: no file {folder}/val/dog/gone.png',
    f'{folder}/val_list.txt: no file {folder}/val/nowhere/a.png',
  )
  (folder / 'train_list.txt').write_text('train/dog/a.png\na -1\n b 99999999\n')
  with pytest.raises(errors.UserError) as error:
    registry.load(config, 'train')
  assert [fault.split(': ')[0] for fault in error.value.faults] == [
    f'{folder}/train_list.txt, line {i}' for i in (1, 2, 3)
  ]
  (folder / 'train_list.txt').write_text('train/dog/a.png 2\n')
  with pytest.raises(errors.UserError, match='no image has label 1'):
    registry.load(config, 'train')
  (folder / 'train_list.txt').write_text('\n')
  with pytest.raises(errors.UserError, match='names no images'):
    registry.load(config, 'train')


def test_a_link_upwards_ends(folder):
  (folder / 'train' / 'newt' / 'up').symlink_to(folder / 'train' / 'newt')
  assert len(contents(config_of(folder), 'train')[0]) == 5


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


@pytest.mark.parametrize('crop', ['none', 'random'])
def test_all_formats_come_out_rgb(tmp_path, crop):
  ramp = np.linspace(0, 255, 12 * 12 * 3).reshape(12, 12, 3).astype(np.uint8)
  expected = {}
  for name, (mode, kwargs) in FORMATS.items():
    image = Image.fromarray(ramp).convert(mode)
    path = tmp_path / 'train' / 'x' / name
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **kwargs)
    expected[name] = as_pil_reads(path)
  first, second = (Image.new('P', (12, 12), color) for color in (3, 9))
  path = tmp_path / 'train' / 'x' / 'moving.gif'
  first.save(path, save_all=True, append_images=[second])
  expected['moving.gif'] = as_pil_reads(path)

  config = config_of(tmp_path, train_crop=crop, eval_crop_fraction=1.0)
  config.batch_size = len(expected)
  rows = range(config.batch_size)
  opened = registry.load(config, 'train')
  (batch,) = pipeline.eval_batches(opened, config, len(rows), rows)
  for name, image in zip(sorted(expected), batch['image'], strict=True):
    difference = np.abs(image.astype(int) - expected[name])
    assert difference.max() <= 6, name
  trained = next(pipeline.train_batches(opened, config, 0, rows))
  assert trained['image'].shape == (len(rows), 12, 12, 3)
  if crop == 'none':
    together = lambda images: sorted(image.tobytes() for image in images)
    assert together(trained['image']) == together(batch['image'])


def test_a_folder_that_is_not_there(tmp_path):
  (fault,) = registry.check(config_of(tmp_path / 'gone'))
  assert 'is no folder' in fault
  (fault,) = registry.check(config_of(''))
  assert 'data.dir is missing' in fault


def test_no_image_is_opened_before_it_is_asked_for(tmp_path):
  for name in range(3):
    picture(tmp_path / 'train' / str(name) / 'a.png', 0)
    (tmp_path / 'train' / str(name) / 'b.png').touch()  # not one
  assert registry.load(config_of(tmp_path), 'train').size == 6


# images that cannot be decoded


def noisy(path, size=40):
  """A JPEG that a cut in its middle ruins."""
  path.parent.mkdir(parents=True, exist_ok=True)
  pixels = np.random.default_rng(len(str(path))).integers(
    0, 256, (size, size, 3), np.uint8
  )
  Image.fromarray(pixels).save(path, quality=95)
  return path


@pytest.fixture
def damaged(tmp_path):
  """20 images, of which six are bad, each in its own way."""
  for split in ('train', 'val'):
    where = tmp_path / split / 'x'
    for i in range(20):
      picture(where / f'{i:02}.png', 10 * i)
    content = noisy(where / '03.jpg').read_bytes()
    (where / '03.jpg').write_bytes(content[: len(content) // 2])
    (where / '03.png').unlink()
    (where / '04.png').write_bytes(b'')
    (where / '05.png').write_bytes(b'junk')
    content = (where / '10.png').read_bytes()
    (where / '10.png').write_bytes(content[:-30])
    picture(where / '15.png', 0)
    Image.new('L', (300, 200)).save(where / '15.png')
    (where / '19.png').unlink()
    noisy(where / '19.jpg', 200)
  return tmp_path


BAD = ['03.jpg', '04.png', '05.png', '10.png', '15.png', '19.jpg']


def damaged_config(folder, **data):
  data = {'max_bad_fraction': 0.3, 'max_pixels': 30_000, **data}
  config = config_of(folder, train_crop='none', **data)
  config.batch_size = 6
  return config


def test_bad_images_are_left_out_of_an_evaluation(damaged, tmp_path):
  config = damaged_config(damaged)
  opened = registry.load(config, 'validation')
  path = tmp_path / 'bad_images.txt'
  bad = BadImages(opened, config, str(tmp_path))
  for _ in range(2):  # the second time they are known
    batches = pipeline.eval_batches(opened, config, 6, range(6), bad)
    seen = [
      round(float(image.mean())) // 10
      for batch in batches
      for image, mask in zip(batch['image'], batch['mask'], strict=True)
      if mask
    ]
    good = [i for i in range(20) if i not in (3, 4, 5, 10, 15, 19)]
    assert seen == good
  lines = path.read_text().splitlines()
  names = [line.split(': ')[0] for line in lines]
  assert names == [f'{damaged}/val/x/{name}' for name in BAD]
  assert '300×200 is more than data.max_pixels=30000' in lines[4]
  assert '200×200 is more than data.max_pixels=30000' in lines[5]


def test_bad_images_are_replaced_in_training(damaged):
  config = damaged_config(damaged)
  opened = registry.load(config, 'train')

  def read(start, count, rows=range(6)):
    batches = pipeline.train_batches(opened, config, start, rows)
    return [next(batches)['image'] for _ in range(count)]

  straight = read(0, 10)  # three epochs
  for start in (1, 4, 9):
    for a, b in zip(straight[start:], read(start, 10 - start), strict=True):
      np.testing.assert_array_equal(a, b)
  halves = [read(0, 10, rows) for rows in (range(3), range(3, 6))]
  for whole, *parts in zip(straight, *halves, strict=True):
    np.testing.assert_array_equal(whole, np.concatenate(parts))
  # In an epoch every good one, and the one after each bad one once more.
  seen = np.concatenate(straight).mean((1, 2, 3))[:20]
  seen = sorted(round(float(x)) // 10 for x in seen)
  assert seen == sorted(
    [i for i in range(20) if i not in (3, 4, 5, 10, 15, 19)]
    + [6, 6, 6, 11, 16, 0]
  )


def test_too_many_bad_images_end_the_run(damaged, tmp_path):
  config = damaged_config(damaged, max_bad_fraction=0.1)
  opened = registry.load(config, 'validation')
  path = tmp_path / 'bad_images.txt'
  bad = BadImages(opened, config, str(tmp_path))
  with pytest.raises(errors.UserError) as error:
    list(pipeline.eval_batches(opened, config, 6, range(6), bad))
  first, *rest = error.value.faults
  assert first == (
    '3 of 20 images cannot be decoded, more than data.max_bad_fraction=0.1; '
    f'all are in {path}:'
  )
  assert len(rest) == 3
  assert f'{damaged}/val/x/03.jpg: ' in rest[0]

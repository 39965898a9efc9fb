"""The command `prepare`, with archives of ImageNet in small."""

import io
import json
import zipfile

import numpy as np
from PIL import Image
import pytest

from inception_jax.data.prepare import imagenet
from tests.support import zip_files
from tests.support.commands import run
from tests.support.tar_files import tar
from tests.support.zip_files import entry
from tests.support.zip_files import raw

PREPARE = {'program': ('-m', 'inception_jax.tools.prepare')}
# The classes of the first three validation images.
SYNSETS = ('n01751748', 'n09193705', 'n02105855')


def jpeg(grey):
  buffer = io.BytesIO()
  Image.fromarray(np.full((40, 50, 3), grey, np.uint8)).save(buffer, 'JPEG')
  return buffer.getvalue()


@pytest.fixture(scope='module')
def small_imagenet(tmp_path_factory):
  """Three classes of ImageNet, in archives with its layout."""
  folder = tmp_path_factory.mktemp('imagenet')
  classes = [
    (f'{s}.tar', tar((f'{s}_{i}.JPEG', jpeg(60 * i)) for i in range(4)))
    for s in SYNSETS
  ]
  images = [(f'ILSVRC2012_val_{i + 1:08}.JPEG', jpeg(i)) for i in range(3)]
  (folder / imagenet.TRAIN).write_bytes(tar(classes))
  (folder / imagenet.VALIDATION).write_bytes(tar(images))
  return [f'--archive={folder / name}' for name in imagenet.FOLDERS]


def result_of(*args, status=0):
  done = run(*args, **PREPARE)
  assert done.returncode == status, done.stderr
  return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_archives_become_class_folders_that_are_verified(
  tmp_path, small_imagenet
):
  data = tmp_path / 'data'
  args = ['--source=folder', f'--data_dir={data}', '--noverify']
  result = result_of(*args, *small_imagenet)
  assert result['splits'] == {'train': 12, 'validation': 3}
  assert result['classes'] == 3
  assert result['bad_images'] is None
  for i, synset in enumerate(SYNSETS):
    names = [path.name for path in (data / 'train' / synset).iterdir()]
    assert sorted(names) == [f'{synset}_{i}.JPEG' for i in range(4)]
    (image,) = (data / 'validation' / synset).iterdir()
    assert image.read_bytes() == jpeg(i)

  # Damage in the last rows, outside of a central crop.
  bad = data / 'train' / SYNSETS[0] / f'{SYNSETS[0]}_1.JPEG'
  noise = np.random.default_rng(0).integers(0, 256, (320, 320, 3), np.uint8)
  Image.fromarray(noise).save(bad)
  bad.write_bytes(bad.read_bytes()[:-400])
  aside = tmp_path / 'aside'
  page = tmp_path / 'page.html'
  flags = f'--describe={page}', '--language=zh', f'--fix={aside}'
  result = result_of(*args, *flags, status=1)
  assert result['page'] == str(page)
  text = page.read_text()
  assert f'{data} (folder)</h1>' in text and 'lang="zh-CN"' in text
  assert f'>{bad}</td>' in text
  # Four images of each class, but for the bad one, and one for validation.
  assert text.count('<img class="example" src="data:image/jpeg') == 3 * 4 - 1
  (line,) = result['bad_images']
  assert line.startswith(f'{bad}: ')
  # The archives have the same four images in each class.
  twice = result['duplicates']
  assert (twice['groups'], twice['across_classes']) == (4, 4)
  assert twice['across_splits'] == 1
  train = data / 'train'
  assert twice['paths'][0] == [
    *(f'{train / s}/{s}_0.JPEG' for s in sorted(SYNSETS)),
    *map(str, (data / 'validation').rglob('*1.JPEG')),
  ]
  assert result['exif_turned'] == {'train': 0, 'validation': 0}
  assert not bad.exists()
  (kept, listed) = sorted(aside.iterdir())
  assert listed.read_text().split('\t')[:2] == [kept.name, str(bad)]
  assert result_of(*args, '--check_images')['bad_images'] == []


@pytest.mark.slow
def test_images_with_an_exif_orientation_are_counted(tmp_path):
  for i, (split, turn) in enumerate(
    [('train', 6), ('train', 1), ('train', 3), ('val', 8), ('val', None)]
  ):
    exif = Image.Exif()
    if turn:
      exif[0x0112] = turn
    for name in 'ab':
      folder = tmp_path / split / name
      folder.mkdir(parents=True, exist_ok=True)
      image = Image.new('RGB', (20, 10 + i), 'red' if name == 'a' else 'blue')
      image.save(folder / f'{i}.jpg', exif=exif)
      image.save(folder / f'{i}.png', exif=exif)  # these are not turned
  args = ['--source=folder', f'--data_dir={tmp_path}', '--check_images']
  turned = {'train': 4, 'validation': 2}
  done = run(*args, **PREPARE)
  assert json.loads(done.stdout.splitlines()[-1])['exif_turned'] == turned
  (line, _) = [x for x in done.stderr.splitlines() if 'EXIF' in x]
  assert line.endswith(
    '4 images of train have an EXIF orientation that is ignored; '
    '--config.data.exif=apply turns them upright'
  )
  done = run(*args, '--config.data.exif=apply', **PREPARE)
  assert json.loads(done.stdout.splitlines()[-1])['exif_turned'] == turned
  assert '4 images of train are turned upright by' in done.stderr


def test_tfds_builds_imagenet_with_records_by_number(tmp_path, small_imagenet):
  args = ['--source=tfds:imagenet2012', f'--data_dir={tmp_path}']
  result = result_of(*args, '--noverify', *small_imagenet)
  assert result['splits'] == {'train': 12, 'validation': 3}
  assert result['classes'] == 1000
  assert list(tmp_path.glob('imagenet2012/*/*.array_record*'))
  # A prepared dataset needs no archives.
  assert result_of(*args, '--noverify')['splits'] == result['splits']
  done = run(*args, **PREPARE)
  assert done.returncode == 2
  assert done.stderr.count('\nerror: ') + done.stderr.startswith('error: ') == 3
  assert 'train has 12 images, expected 1281167' in done.stderr
  assert 'validation has 3 images, expected 50000' in done.stderr
  assert done.stderr.endswith('error: if a part is meant: --noverify\n')


@pytest.mark.slow
def test_zips_are_unpacked_or_read_in_place(tmp_path):
  for split, count in (('train', 4), ('val', 2)):
    members = [
      (f'{c}/{i}.jpg', jpeg(40 * i)) for c in 'ab' for i in range(count)
    ]
    entries = [entry(name, content, method=8) for name, content in members]
    (tmp_path / f'{split}.zip').write_bytes(raw(*entries))
  data = tmp_path / 'data'
  args = [f'--archive={tmp_path}/{split}.zip' for split in ('train', 'val')]
  result = result_of(
    '--source=folder', f'--data_dir={data}', '--splits=train,val', *args
  )
  assert result['splits'] == {'train': 8, 'val': 4}
  assert (data / 'val' / 'b' / '1.jpg').read_bytes() == jpeg(40)

  both = zip_files.pack(tmp_path / 'both.zip', data, 'top/')
  with zipfile.ZipFile(both, 'a') as archive:
    archive.writestr('top/train/a/bad.jpg', b'no image')
  args = ['--source=folder', f'--data_dir={both}', '--check_images']
  result = result_of(*args, status=1)
  assert result['splits'] == {'train': 9, 'validation': 4}
  (bad,) = result['bad_images']
  assert bad.startswith(f'{both}/top/train/a/bad.jpg: ')
  assert (
    result['duplicates']['groups'],
    result['duplicates']['across_splits'],
  ) == (4, 2)
  done = run(*args, f'--fix={tmp_path}/bad', **PREPARE)
  assert f'--fix: {both} is only read; unpack it first' in done.stderr
  assert done.returncode == 2


@pytest.mark.parametrize(
  'args, messages',
  [
    ([], ['--source=: expected', '--data_dir is missing']),
    (
      ['--source=cifar', '--data_dir=x', '--archive=x.tar'],
      ['cifar is read as it is, not unpacked'],
    ),
    (
      ['--source=tfds:imagenet2012', '--data_dir={}'],
      [imagenet.TRAIN, imagenet.VALIDATION, 'image-net.org'],
    ),
    (['--source=tfds:cifar1', '--data_dir={}'], ['cifar10']),
    (
      ['--source=folder', '--data_dir={0}', '--fix={0}/bad'],
      ['--fix: only with --check_images', 'is in the dataset'],
    ),
    (
      ['--source=folder', '--data_dir={0}', '--describe=/proc/x.html'],
      ['--describe=/proc/x.html cannot be written'],
    ),
    (
      ['--source=folder', '--data_dir={0}', '--describe=/proc'],
      ['--describe=/proc is a folder'],
    ),
  ],
)
def test_each_mistake_is_one_line_and_nothing_is_written(
  tmp_path, args, messages
):
  folder = tmp_path / 'data'
  # From another folder: the default recipe must still be found.
  done = run(*(arg.format(folder) for arg in args), **PREPARE, cwd=tmp_path)
  assert done.returncode == 2, done.stderr
  assert done.stdout == ''
  lines = done.stderr.splitlines()
  assert len(lines) == len(messages), done.stderr
  for line, message in zip(lines, messages, strict=True):
    assert line.startswith('error: ') and message in line
  assert not folder.exists()


def test_archives_that_differ_from_the_published_are_refused_first(
  tmp_path, small_imagenet
):
  folder = tmp_path / 'data'
  args = ['--source=folder', f'--data_dir={folder}', *small_imagenet]
  done = run(*args, **PREPARE)
  assert done.returncode == 2
  train, validation = done.stderr.splitlines()
  assert 'the published one 147897477120' in train
  assert 'the published one 6744924160' in validation
  assert not folder.exists()

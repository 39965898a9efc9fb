"""The command tools.predict."""

import json
import shutil

from PIL import Image
from PIL import ImageOps
import pytest

from inception_jax.export import formats
from inception_jax.export.format import Options
from inception_jax.weights import pretrained
from tests.support.commands import tool
from tests.support.pictures import CLASSES
from tests.support.pictures import config_of
from tests.support.pictures import save_run


@pytest.fixture(scope='module')
def workdir(pictures, tmp_path_factory):
  root = tmp_path_factory.mktemp('runs')
  return save_run(root / 'a', config_of(pictures), 0)


@pytest.fixture(scope='module')
def artifact(workdir, one_device, tmp_path_factory):
  _, weights = pretrained.restore('', workdir, one_device)
  path = str(tmp_path_factory.mktemp('exported') / 'network.onnx')
  options = Options(outputs=('logits', 'probabilities'), preprocess=True)
  formats.FORMATS['onnx'].save(weights, path, 0, options)
  return path


@pytest.fixture(scope='module')
def images(pictures, tmp_path_factory):
  """A folder of four images and one file that is none."""
  images = tmp_path_factory.mktemp('images')
  shutil.copytree(pictures / 'val' / 'dog', images / 'dog')
  (images / 'bad.png').write_text('junk')
  return images


@pytest.mark.slow
def test_artifact_predicts_as_its_run(workdir, artifact, images):
  predictions = []
  for flag in (f'--artifact={artifact}', f'--workdir={workdir}'):
    done = tool('predict', flag, str(images), '--batch_size=3', '--json')
    assert done.returncode == 1
    assert f'{images}/bad.png: unknown image format' in done.stderr
    *lines, line = done.stdout.splitlines()
    result = json.loads(line)
    assert result['images'] == len(lines) == 4
    assert list(result['failed']) == [f'{images}/bad.png']
    assert [json.loads(x) for x in lines] == result['predictions']
    predictions.append(result['predictions'])
  for a, b in zip(*predictions, strict=True):
    assert a['image'] == b['image']
    for x, y in zip(a['classes'], b['classes'], strict=True):
      assert x['class'] == y['class']
      assert x['probability'] == pytest.approx(y['probability'], abs=1e-5)


@pytest.mark.slow
def test_class_names_are_replaced(workdir, artifact, images, tmp_path):
  done = tool('predict', f'--workdir={workdir}', str(images / 'dog'))
  assert done.returncode == 0
  *lines, line = done.stdout.splitlines()
  assert len(lines) == 4
  (named, *_) = json.loads(line)['predictions']
  names = tmp_path / 'names.txt'
  names.write_text('\n'.join('abcdef'))
  args = (f'--artifact={artifact}', f'--class_names={names}')
  done = tool('predict', *args, str(images / 'dog'))
  (renamed, *_) = json.loads(done.stdout.splitlines()[-1])['predictions']
  assert [x['class'] for x in renamed['classes']] == [
    'abcdef'[CLASSES.index(x['class'])] for x in named['classes']
  ]
  names.write_text('a\nb\n')
  done = tool('predict', *args, str(images))
  assert done.returncode == 2
  (line,) = done.stderr.splitlines()
  assert line == f'error: {names} names 2 classes, there are 6'


@pytest.mark.slow
def test_photographs_are_turned_upright(workdir, images, tmp_path):
  with Image.open(next((images / 'dog').iterdir())) as image:
    image = image.convert('RGB').resize((90, 60))
  image.paste('black', (0, 0, 90, 15))  # without symmetries
  exif = Image.Exif()
  exif[0x0112] = 6
  image.save(tmp_path / 'a.jpg', quality=100, subsampling=0, exif=exif)
  with Image.open(tmp_path / 'a.jpg') as image:
    ImageOps.exif_transpose(image).save(tmp_path / 'b.png')

  def probabilities(*args):
    done = tool('predict', f'--workdir={workdir}', str(tmp_path), *args)
    result = json.loads(done.stdout.splitlines()[-1])
    return [
      {x['class']: x['probability'] for x in prediction['classes']}
      for prediction in result['predictions']
    ]

  turned, upright = probabilities()
  assert turned == pytest.approx(upright, abs=1e-3)
  stored, same = probabilities('--exif=ignore')
  assert same == upright
  assert stored != pytest.approx(upright, abs=1e-3)


@pytest.mark.slow
def test_transparent_images_are_laid_over_a_background(
  workdir, images, tmp_path
):
  with Image.open(next((images / 'dog').iterdir())) as image:
    image = image.convert('RGBA')
  image.paste((0, 0, 0, 0), (0, 0, 32, 32))
  image.save(tmp_path / 'a.png')
  over = Image.new('RGBA', image.size, 'white')
  over.alpha_composite(image)
  over.convert('RGB').save(tmp_path / 'b.png')
  image.convert('RGB').save(tmp_path / 'c.png')

  def predicted(*args):
    done = tool('predict', f'--workdir={workdir}', str(tmp_path), *args)
    result = json.loads(done.stdout.splitlines()[-1])
    return [prediction['classes'] for prediction in result['predictions']]

  clear, white, dropped = predicted()
  assert clear == dropped != white
  clear, white, dropped = predicted('--background=white')
  assert clear == white != dropped
  done = tool(
    'predict', f'--workdir={workdir}', '--background=x', str(tmp_path)
  )
  assert (done.returncode, done.stderr) == (
    2,
    'error: --background=x: expected none, black, white or #rrggbb\n',
  )


@pytest.mark.slow
def test_artifact_without_a_digest_needs_trust(images):
  args = (
    '--artifact=tests/earlier_version/network.onnx',
    str(images / 'dog'),
  )
  done = tool('predict', *args)
  assert done.returncode == 2
  (line,) = done.stderr.splitlines()
  assert 'network.onnx has no digest' in line and '--trust' in line
  done = tool('predict', *args, '--trust')
  assert done.returncode == 0, done.stderr
  assert json.loads(done.stdout.splitlines()[-1])['images'] == 4


def test_every_fault_is_one_line(tmp_path):
  done = tool('predict', str(tmp_path / 'none'))
  assert done.returncode == 2
  assert len(done.stderr.splitlines()) == 2

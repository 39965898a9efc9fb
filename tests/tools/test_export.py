"""The command tools.export."""

import json

import pytest

from inception_jax.export import formats
from tests.support.commands import tool
from tests.support.pictures import config_of
from tests.support.pictures import save_run


@pytest.fixture(scope='module')
def workdir(pictures, tmp_path_factory):
  root = tmp_path_factory.mktemp('runs')
  return save_run(root / 'a', config_of(pictures), 0)


def export(*args):
  done = tool('export', *args)
  assert done.returncode == 0, done.stderr
  return done, json.loads(done.stdout.splitlines()[-1])


def refused(*args):
  done = tool('export', *args)
  assert done.returncode == 2
  return done.stderr


@pytest.mark.slow
def test_onnx_is_exported_and_compared(pictures, workdir, tmp_path):
  path = tmp_path / 'network.onnx'
  args = (f'--workdir={workdir}', '--format=onnx')
  faults = refused(*args, f'--calibration={pictures}', f'--output={path}.txt')
  assert 'expected a name that ends in .onnx' in faults
  assert '--calibration applies only to --format=litert_int8' in faults
  faults = refused(*args, '--image_size=2', f'--output={path}')
  assert '--image_size=2: tiniest takes 3 to 8,192 pixels' in faults
  faults = refused(*args, '--background=red', f'--output={path}')
  assert '--background=red: expected none, black, white or #rrggbb' in faults
  added = ('--image_size=24', '--outputs=pooled', '--softmax', '--preprocess')
  added += ('--exif=apply', '--background=#102030')
  _, result = export(*args, f'--output={path}', *added)
  assert result['image_size'] == 24
  assert len(result['outputs']) == 3
  card = formats.load(str(path)).card
  assert (card.input_size, card.exif) == (24, 'apply')
  assert card.background == '#102030'
  assert result['max_abs_diff'] < 1e-4
  assert result['top5_agreement'] == 1.0
  assert result['bytes'] == path.stat().st_size


@pytest.mark.slow
def test_int8_is_calibrated_on_images(pictures, workdir, tmp_path):
  path = tmp_path / 'network.tflite'
  args = (f'--workdir={workdir}', '--format=litert_int8', f'--output={path}')
  faults = refused(*args, f'--calibration={tmp_path}/none')
  assert '/none: no such folder' in faults
  junk = tmp_path / 'junk' / 'bad.png'
  junk.parent.mkdir()
  junk.write_text('junk')
  faults = refused(*args, f'--calibration={junk.parent}')
  assert f'{junk}: unknown image format' in faults
  assert 'no readable image' in faults
  assert not path.exists()
  done, result = export(*args, f'--calibration={pictures}')
  assert 'calibrating on 23 images' in done.stderr
  assert 1e-4 < result['relative_diff'] < 0.05


def test_weight_files_need_the_frameworks_ending(workdir, tmp_path):
  for name, ending in (('timm', '.safetensors'), ('mindcv', '.ckpt')):
    faults = refused(
      f'--workdir={workdir}', f'--format={name}', f'--output={tmp_path}/x.onnx'
    )
    assert faults == (
      f'error: --output={tmp_path}/x.onnx: expected a name that ends in '
      f'{ending}\n'
    )
  faults = refused(
    f'--workdir={workdir}', '--format=hub', f'--output={tmp_path}/x'
  )
  assert 'timm does not have tiniest' in faults
  assert '--format=onnx, stablehlo' in faults
  assert list(tmp_path.iterdir()) == []


def test_all_wrong_flags_are_reported(tmp_path):
  assert refused('--format=onyx').splitlines() == [
    'error: --workdir is missing: the folder of the run to export',
    'error: --format=onyx: expected one of onnx, stablehlo, savedmodel, '
    'litert, litert_int8, timm, mindcv, mindir, air, hub',
    'error: --output is missing: the file or folder to create',
  ]
  flags = ('--image_size=64', '--outputs=pooled', '--softmax', '--preprocess')
  faults = refused('--format=mindcv', *flags)
  assert (
    'error: --image_size applies only to --format=onnx, stablehlo, savedmodel, '
    'litert, litert_int8, timm, mindir, air, hub'
  ) in faults
  assert '--outputs applies only to --format=onnx, stablehlo, save' in faults
  assert '--softmax applies only to --format=onnx, stablehlo\n' in faults
  assert '--preprocess applies only to --format=onnx\n' in faults
  faults = refused(
    f'--workdir={tmp_path}',
    '--format=timm',
    f'--output={tmp_path}/x.safetensors',
  )
  assert f'no checkpoint in {tmp_path}' in faults
  assert list(tmp_path.iterdir()) == []

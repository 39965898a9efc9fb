"""The command tools.fid."""

import json
import os

import numpy as np
from PIL import Image
import pytest

from inception_jax.config import defaults
from inception_jax.fid import frechet
from inception_jax.fid import moments
from inception_jax.models import architectures
from inception_jax.models import factory
from tests.support import commands
from tests.support import pictures
from tests.support import small_networks
from tests.support.commands import tool
from tests.support.runs import check_faults

TOOL = ('-m', 'inception_jax.tools.fid')
NAME = 'fid_inception_v3'


def fid(*args, devices=1):
  """Runs the command, to which that network has three convolutions."""
  return commands.run(
    *map(str, args),
    program=TOOL,
    devices=devices,
    prepare=small_networks.install,
  )


def result(done, status=0):
  assert done.returncode == status, done.stderr
  return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope='module')
def sets(tmp_path_factory):
  """Two folders, of 15 and 13 images."""
  root = tmp_path_factory.mktemp('sets')
  rng = np.random.default_rng(0)
  for name, count in (('real', 15), ('fake', 13)):
    (root / name).mkdir()
    for i in range(count):
      pixels = rng.integers(0, 256, (3 + count % 2, 4, 3), np.uint8)
      image = Image.fromarray(pixels).resize((40, 30))
      image.save(root / name / f'{i:02}.png')
  return root / 'real', root / 'fake'


def save(where):
  """Writes a checkpoint of the network, random; returns its path."""
  config = defaults.get_config()
  config.model.update(name=NAME, aux_head=False)
  config = factory.resolve(config)
  return pictures.save(where, pictures.random_weights(config, 1008))


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
  network = small_networks.networks()[NAME]
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(architectures.ARCHITECTURES, NAME, network)
    return save(tmp_path_factory.mktemp('network'))


@pytest.mark.slow
def test_every_metric_but_the_spatial_one(weights, sets):
  done = fid(
    *(*sets, f'--weights={weights}', '--kid_subset_size=9'),
    *('--metrics=fid,kid,is,prdc,fid_infinity', '--interval=0.9'),
  )
  found = result(done)
  lines = done.stdout.splitlines()[:-1]
  starts = ['FID ', 'KID ', 'Inception Score ', 'precision ', 'FID∞ ']
  for line, start in zip(lines, starts, strict=True):
    assert line.startswith(start)
  assert lines[0].startswith(f'FID {found["fid"]:.8g}, interval ')
  low, high = found['fid_interval']
  assert low < high and 0 < found['fid'] and 1 <= found['inception_score']
  assert {'precision', 'recall', 'density', 'coverage'} <= found.keys()
  assert found['images'] == [15, 13] and found['mode'] == 'clean'
  assert found['failed'] == {}
  # Fewer images than features.
  assert done.stderr.count('images are fewer than the 16 features') == 2


@pytest.mark.slow
def test_devices_and_batches_make_no_difference(weights, sets):
  flags = (*sets, f'--weights={weights}', '--mode=legacy_pytorch')
  one = result(fid(*flags, '--batch_size=16'))
  eight = result(fid(*flags, '--batch_size=4', devices=8))
  assert one['fid'] == eight['fid'] and one['digest'] == eight['digest']


@pytest.mark.slow
def test_own_networks_by_the_features_that_tools_features_writes(
  sets, tmp_path
):
  config = pictures.config_of(sets[0])
  workdir = pictures.save_run(tmp_path / 'run', config, 0)
  rows = []
  for i, folder in enumerate(sets):
    output = tmp_path / f'{i}.npz'
    result(
      tool(
        *('features', f'--workdir={workdir}', str(folder)),
        f'--output={output}',
      )
    )
    rows.append(np.load(output)['features'])
  expected = frechet.distance(*map(moments.from_features, rows)).value
  found = result(tool('fid', f'--workdir={workdir}', *map(str, sets)))
  assert found['fid'] == pytest.approx(expected, rel=1e-5)
  assert found['mode'] == ''


@pytest.mark.slow
def test_statistics_are_written_and_read(weights, sets, tmp_path):
  flags = f'--weights={weights}', '--mode=legacy_tensorflow'
  expected = result(fid(*sets, *flags))['fid']
  saved = tmp_path / 'new' / 'real.npz'
  made = result(fid(sets[0], *flags, f'--save_stats={saved}'))
  assert made['save_stats'] == str(saved) and 'fid' not in made
  found = result(fid(saved, sets[1], *flags, '--interval=0.9'))
  assert found['fid'] == expected and len(found['fid_interval']) == 2
  done = fid(saved, sets[1], f'--weights={weights}', '--mode=clean')
  check_faults(done, ['real.npz has statistics of another network or mode'])
  # As pytorch-fid and clean-fid write them.
  with np.load(saved) as arrays:
    np.savez(tmp_path / 'theirs.npz', mu=arrays['mu'], sigma=arrays['sigma'])
    np.savez(tmp_path / 'short.npz', mu=np.ones(3), sigma=np.eye(3))
  done = fid(tmp_path / 'theirs.npz', sets[1], *flags)
  assert result(done)['fid'] == pytest.approx(expected, rel=1e-6)
  assert 'does not say of which network and mode' in done.stderr
  done = fid(tmp_path / 'short.npz', sets[1], *flags)
  assert done.returncode == 2 and 'of 3 features, the network' in done.stderr


@pytest.mark.slow
def test_a_corrupt_image_is_named_and_its_set_is_not_saved(
  weights, sets, tmp_path
):
  for path in sets[0].iterdir():
    (tmp_path / path.name).write_bytes(path.read_bytes())
  (tmp_path / '03.png').write_bytes(b'junk')
  Image.new('L', (7, 5)).save(tmp_path / '04.png')
  done = fid(
    *(tmp_path, sets[1], f'--weights={weights}', '--mode=legacy_pytorch'),
    f'--save_stats={tmp_path}/x.npz',
  )
  found = result(done, status=1)
  assert list(found['failed']) == [f'{tmp_path}/03.png']
  assert found['images'] == [14, 13] and found['save_stats'] == ''
  assert not (tmp_path / 'x.npz').exists()
  assert f'{tmp_path} has images of 2 sizes, up to 40×30' in done.stderr
  assert 'while pytorch-fid stops at them' in done.stderr


@pytest.mark.slow
def test_the_inception_score_of_one_set(weights, sets):
  flags = f'--weights={weights}', '--metrics=is', '--is_splits=2'
  alone = result(fid(sets[1], *flags))
  assert alone['images'] == [13]
  both = result(fid(*sets, *flags))
  assert alone['inception_score'] == both['inception_score']


def test_all_mistakes_at_once(weights, sets, tmp_path):
  stats = tmp_path / 'x.npz'
  np.savez(stats, mu=np.zeros(3), sigma=np.eye(3))
  check_faults(
    fid(),
    ['give one of --weights=, --workdir= and', 'name two sets of images'],
  )
  check_faults(
    fid(
      *('none', stats, '--metrics=fid,kid,foo,sfid', '--mode=clean'),
      *('--workdir=x', '--checkpoint=./y', '--interval=1'),
      f'--save_stats={stats}',
    ),
    [
      '--metrics=foo: expected some of fid, kid, is, prdc, sfid, fid_infinity',
      'give one of --weights=, --workdir= and --checkpoint=PATH',
      '--mode is for --weights=',
      '--metrics=sfid is for --weights=',
      '--interval=1: expected 0, or below 1',
      'x.npz already exists',
      'none: no such file or folder',
      'x.npz holds statistics; kid needs the images',
      'x.npz holds statistics; sfid needs the images',
      'x.npz holds statistics; --interval needs the images',
    ],
  )
  check_faults(
    fid(*sets, f'--weights={weights}', '--metrics='),
    ['--metrics= names none of fid, kid'],
  )
  check_faults(
    fid(sets[0], f'--weights={weights}', '--metrics=kid'),
    ['--metrics=kid needs two sets, REAL and FAKE'],
  )
  check_faults(
    fid(stats, f'--weights={weights}', f'--save_stats={tmp_path}/y.npz'),
    ['x.npz holds statistics: name another set'],
  )


def test_too_few_images(weights, sets):
  done = fid(
    *(*sets, f'--weights={weights}', '--metrics=kid,is,prdc'),
    *('--num_images=14', '--kid_subset_size=15', '--is_splits=20'),
    '--neighbours=13',
  )
  real, fake = sets
  check_faults(
    done,
    [
      f'{real}: kid needs 15 images, not 14',
      f'--num_images=14: {fake} has 13',
      f'{fake}: kid needs 15 images, not 13',
      f'{fake}: is needs 20 images, not 13',
      f'{fake}: prdc needs 14 images, not 13',
    ],
  )


def test_weights_of_another_network(sets, tmp_path):
  config = pictures.config_of(sets[0])
  workdir = pictures.save_run(tmp_path / 'run', config, 0)
  done = tool('fid', f'--weights={workdir}', *map(str, sets))
  check_faults(done, ['is tiniest, and --mode is for fid_inception_v3'])
  headless = pictures.save_run(
    tmp_path / 'headless', config, 0, classes=(), num_classes=0
  )
  done = tool(
    *('fid', f'--checkpoint={headless}', *map(str, sets)),
    *('--metrics=is', '--is_splits=2'),
  )
  check_faults(done, ['has no classifier'])


@pytest.mark.slow
@pytest.mark.skipif(
  len(os.sched_getaffinity(0)) < 2,
  reason='eight devices have several threads, where Eigen rounds otherwise',
)
def test_one_and_eight_devices_with_the_whole_network(sets, tmp_path):
  weights = save(tmp_path / 'network')
  flags = (*map(str, sets), f'--weights={weights}', '--metrics=fid,sfid')
  one, eight = (
    result(
      commands.run(
        *(*flags, '--batch_size=2', '--num_images=3'),
        program=TOOL,
        devices=devices,
        optimized=True,  # otherwise it takes four times as long
      )
    )
    for devices in (1, 8)
  )
  for name in ('fid', 'sfid'):
    assert eight[name] == pytest.approx(one[name], rel=1e-9, abs=0)

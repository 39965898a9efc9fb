"""tools.import_weights, and tools.export back to weight files."""

import json
import pickle

import numpy as np
import pytest
import safetensors.numpy

from inception_jax.checkpointing import lookup
from tests.parity import cases
from tests.parity import compare
from tests.support.commands import run
from tests.support.malicious_pickle import MaliciousPickle

IMPORT = ('-m', 'inception_jax.tools.import_weights')
EXPORT = ('-m', 'inception_jax.tools.export')


def tensors_of(name):
  """Returns the tensors of a case's file, whose values follow a formula."""
  case = cases.named(name)
  with np.load(compare.golden_path(case)) as golden:
    return compare.tensors(golden, compare.source_of(case).style.oihw)


@pytest.fixture(scope='module')
def timm_v3(tmp_path_factory):
  """A file of timm's Inception-v3, with BatchNorm's counters; its tensors."""
  tensors = tensors_of('timm-inception_v3')
  counters = {
    name.replace('running_mean', 'num_batches_tracked'): np.array(0)
    for name in tensors
    if name.endswith('running_mean')
  }
  path = tmp_path_factory.mktemp('timm') / 'v3.safetensors'
  safetensors.numpy.save_file(tensors | counters, path)
  return path, tensors


@pytest.mark.slow
def test_import_evaluate_export(tmp_path, timm_v3):
  path, tensors = timm_v3
  imported = tmp_path / 'imported'
  names = tmp_path / 'names.txt'
  flags = [
    f'--weights={path}',
    f'--output={imported}',
    f'--class_names={names}',
  ]
  names.write_text('one\n')
  done = run(*flags, program=IMPORT)
  assert done.returncode == 2
  assert f'names 1 classes, there are {cases.NUM_CLASSES}' in done.stderr
  assert not imported.exists()
  classes = [f'class_{i}' for i in range(cases.NUM_CLASSES)]
  names.write_text('\n'.join(classes))
  done = run(*flags, program=IMPORT)
  assert done.returncode == 0, done.stderr
  history, (step,) = lookup.find(str(imported), 'latest')
  assert history.record(step)['network']['classes'] == classes
  result = json.loads(done.stdout.splitlines()[-1])
  assert result['origin'] == 'timm inception_v3'
  assert result['model']['num_classes'] == cases.NUM_CLASSES
  assert result['card']['interpolation'] == 'bicubic'
  assert result['card']['count_include_pad']
  statistics = sum(x.size for name, x in tensors.items() if 'running' in name)
  total = sum(x.size for x in tensors.values())
  assert result['parameters'] == total - statistics

  # The recipe takes open keys, such as bicubic crops, from the card.
  done = run(
    '--config=configs/inception_v3.py',
    f'--workdir={imported}',
    '--mode=eval',
    '--config.data.source=synthetic',
    '--config.data.image_size=75',
    '--config.precision=float32',
    '--config.model.aux_head=False',
    f'--config.model.num_classes={cases.NUM_CLASSES}',
  )
  assert done.returncode == 0, done.stderr
  result = json.loads(done.stdout.splitlines()[-1])
  assert (result['step'], result['count']) == (0, 64)

  output = tmp_path / 'back.safetensors'
  arguments = [f'--workdir={imported}', f'--output={output}', '--format=timm']
  done = run(*arguments, program=EXPORT)
  assert done.returncode == 0, done.stderr
  assert json.loads(done.stdout.splitlines()[-1])['max_abs_diff'] == 0
  back = safetensors.numpy.load_file(output)
  for name, tensor in tensors.items():
    np.testing.assert_array_equal(back.pop(name), tensor)
  assert all(name.endswith('num_batches_tracked') for name in back)

  again = run(*arguments, program=EXPORT)
  assert again.returncode == 2
  assert again.stderr == f'error: --output={output} already exists\n'
  mindcv = tmp_path / 'back.ckpt'
  refused = run(
    f'--workdir={imported}',
    f'--output={mindcv}',
    '--format=mindcv',
    program=EXPORT,
  )
  assert refused.returncode == 2
  assert 'average pools: the padding is ignored there' in refused.stderr
  assert not mindcv.exists()


def truncated(path, timm_v3):
  path.write_bytes(timm_v3[0].read_bytes()[:100_000])


def other_network(path, timm_v3):
  safetensors.numpy.save_file({'conv1.weight': np.zeros((8, 3, 7, 7))}, path)


def wrong_head_shape(path, timm_v3):
  tensors = dict(timm_v3[1])
  tensors['fc.weight'] = np.zeros((8, 2048), np.float32)
  safetensors.numpy.save_file(tensors, path)


def pickled_code(path, timm_v3):
  path.write_bytes(pickle.dumps(MaliciousPickle(str(path.parent / 'trace'))))


@pytest.mark.slow
@pytest.mark.parametrize(
  ('name', 'write', 'faults'),
  [
    ('x.safetensors', truncated, ['cannot be read as safetensors']),
    ('x.safetensors', other_network, ['does not hold a known network']),
    (
      'x.safetensors',
      wrong_head_shape,
      [
        'looks like inception_v3 of timm, but:',
        "fc.weight: shape (2048, 8) in flax's layout, expected (2048, 7)",
      ],
    ),
    (
      'x.pth',
      pickled_code,
      ['x.pth: torch is needed to read it: pip install'],
    ),
    ('x.onnx', pickled_code, ['expected a file that ends in .safetensors']),
    ('x.safetensors', None, ['no such file']),
  ],
  ids=lambda value: getattr(value, '__name__', None),
)
def test_bad_file_is_one_error_and_writes_nothing(
  tmp_path, timm_v3, name, write, faults
):
  path, output = tmp_path / name, tmp_path / 'out'
  if write:
    write(path, timm_v3)
  done = run(f'--weights={path}', f'--output={output}', program=IMPORT)
  assert done.returncode == 2, done.stderr
  assert done.stdout == ''
  errors = [e for e in done.stderr.splitlines() if e.startswith('error: ')]
  for fault, line in zip(faults, errors, strict=True):
    assert fault in line
  assert {p.name for p in tmp_path.iterdir()} <= {name}


def test_all_missing_flags_are_reported():
  done = run(program=IMPORT)
  assert done.returncode == 2
  assert done.stderr.splitlines() == [
    'error: --weights is missing: the file to import',
    'error: --output is missing: the folder for the imported network',
  ]


@pytest.mark.slow
def test_without_a_classifier_there_are_no_names(tmp_path, timm_v3):
  path, output = tmp_path / 'x.safetensors', tmp_path / 'out'
  body = {k: x for k, x in timm_v3[1].items() if not k.startswith('fc.')}
  safetensors.numpy.save_file(body, path)
  (tmp_path / 'names.txt').write_text('one\n')
  flags = [f'--weights={path}', f'--output={output}']
  names = f'--class_names={tmp_path / "names.txt"}'
  done = run(*flags, names, program=IMPORT)
  assert done.returncode == 2 and not output.exists()
  assert f'--class_names: {path} has no classifier' in done.stderr
  done = run(*flags, program=IMPORT)
  assert done.returncode == 0, done.stderr
  assert 'imported without a classifier: fine-tuning adds' in done.stderr
  result = json.loads(done.stdout.splitlines()[-1])
  assert result['model']['num_classes'] == 0

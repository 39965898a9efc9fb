"""What other systems' flags are called here."""

import re

import pytest

from inception_jax.config import counterparts
from inception_jax.config import defaults
from inception_jax.config import serialization
from inception_jax.models import architectures
from tests.support.commands import ROOT


def flags_of(module: str) -> set[str]:
  """Returns the flags that the text of a module defines."""
  text = (ROOT / f'inception_jax/{module}.py').read_text()
  return set(re.findall(r"(?:DEFINE_\w+|define_paths?)\(\s*'(\w+)'", text))


def test_counterparts_exist():
  keys = {key for key, _ in serialization.flatten(defaults.get_config())}
  known = {f'config.{key}' for key in keys} | flags_of('tools/train')
  known |= flags_of('tools/export') | flags_of('runtime/device_flags')
  for name, text in counterparts.COUNTERPARTS.items():
    for flag in re.findall(r'(?:^|--)([a-z]\w*(?:\.\w+)*)', text):
      assert flag in known, (name, flag)


def test_networks_of_pytorch_cifar100_have_other_names():
  for flag in ('net', 'model_name'):
    found = counterparts.answer(flag, 'inceptionresnetv2', {'config'})
    name = found.removeprefix('here it is --config.model.name=')
    assert name == 'cifar_inception_resnet_v2'
    assert name in architectures.ARCHITECTURES
  found = counterparts.answer('model', 'inception_v3', {'config'})
  assert found == 'here it is --config.model.name=inception_v3'


def test_counterparts_are_flags_of_the_command():
  answer = counterparts.answer
  assert answer('file_format', 'ONNX', {'format'}) == 'here it is --format=onnx'
  assert answer('file_format', 'ONNX', {'config'}) == ''
  assert answer('lr', '0.1', {'workdir'}) == ''
  assert answer('Batch-Size', '8', {'config'}).startswith(
    'here it is --config.batch_size=8 '
  )


def test_paths_are_kept_and_what_a_shell_reads_is_not():
  answer = counterparts.answer
  found = answer('data_dir', '/a/b-c', {'config'})
  assert found == 'here it is --config.data.dir=/a/b-c'
  found = answer('train_url', 's3://b/run', {'workdir'})
  assert found == 'here it is --workdir=s3://b/run'
  for value in ('a b', '$(x)', 'a;b', '\x1b[2J'):
    found = answer('data_dir', value, {'config'})
    assert found == 'here it is --config.data.dir='


@pytest.mark.parametrize('value', ['x.ckpt', 'runs/best.pth', 'X.PTH.TAR'])
def test_weights_are_not_resumed(value):
  found = counterparts.answer('resume', value, {'config', 'workdir'})
  assert found.startswith(f'here it is --config.fine_tune.checkpoint={value} ')
  found = counterparts.answer('resume', 'runs/v3', {'config', 'workdir'})
  assert found.startswith('here it is --workdir=RUN ')


# Words of these rows that are the page's own, or have a counterpart.
HAVE_ANOTHER_USE = {'mode', 'device', 'adagrad', 'nadam'}


def test_what_the_page_has_no_counterpart_of_is_answered():
  page = (ROOT / 'docs/migration.md').read_text()
  names = {
    name.replace('-', '_')
    for table in page.split('### Without a counterpart')[1:]
    for line in table.split('\n#')[0].splitlines()
    for name in re.findall(r'`-{0,2}([a-z][\w-]*)`', f'{line}||'.split('|')[1])
  } - HAVE_ANOTHER_USE
  absent = {
    name for row in counterparts.ABSENT.values() for name in row.split()
  }
  assert absent <= names
  assert absent.isdisjoint(counterparts.COUNTERPARTS)
  flags = flags_of('tools/train') | flags_of('runtime/device_flags')
  for name in names:
    found = counterparts.answer(name, '3', flags | {'config'})
    assert found, name
    assert found.startswith('leave it out: ') == (name in absent), name


# Rows of the page whose answer depends on more than the name.
OTHERWISE = {'ckpt_path', 'resume', 'checkpoint', 'CHECKPOINT_PATH'}


def test_what_the_page_translates_is_answered():
  """Flags and keys of its tables, by a key or flag of the same row."""
  keys = {key for key, _ in serialization.flatten(defaults.get_config())}
  flags = flags_of('tools/train') | flags_of('tools/export')
  flags |= flags_of('runtime/device_flags') | {'config'}
  checked = 0
  for line in (ROOT / 'docs/migration.md').read_text().splitlines():
    cells = [cell.strip() for cell in line.split('|')]
    if len(cells) != 4 or cells[2].startswith('none:'):
      continue
    theirs = re.findall(r'`-{0,2}([A-Za-z][\w-]*)`', cells[1])
    ours = re.findall(r'`(?:--)?(?:config\.)?([a-z][\w.]*)', cells[2])
    ours = keys.union(flags).intersection(ours)
    for name in (
      {*theirs} - OTHERWISE - {*counterparts.NETWORKS} if ours else ()
    ):
      found = counterparts.answer(name, '3', flags)
      assert any(x in found for x in ours), (line, found)
      checked += 1
  assert checked > 120

"""What other systems' flags are called here."""

import re

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
    found = counterparts.find(flag, 'inceptionresnetv2', {'config'})
    name = found.removeprefix('--config.model.name=')
    assert name == 'cifar_inception_resnet_v2'
    assert name in architectures.ARCHITECTURES
  found = counterparts.find('model', 'inception_v3', {'config'})
  assert found == '--config.model.name=inception_v3'


def test_counterparts_are_flags_of_the_command():
  find = counterparts.find
  assert find('file_format', 'ONNX', {'format'}) == '--format=onnx'
  assert find('file_format', 'ONNX', {'config'}) == ''
  assert find('lr', '0.1', {'workdir'}) == ''
  assert find('Batch-Size', '8', {'config'}).startswith('--config.batch_size=8')


def test_paths_are_kept_and_what_a_shell_reads_is_not():
  find = counterparts.find
  assert find('data_dir', '/a/b-c', {'config'}) == '--config.data.dir=/a/b-c'
  assert find('train_url', 's3://b/run', {'workdir'}) == '--workdir=s3://b/run'
  for value in ('a b', '$(x)', 'a;b', '\x1b[2J'):
    assert find('data_dir', value, {'config'}) == '--config.data.dir='


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
      found = counterparts.find(name, '3', flags)
      assert any(x in found for x in ours), (line, found)
      checked += 1
  assert checked > 120

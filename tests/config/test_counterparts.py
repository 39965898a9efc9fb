"""What other systems' flags are called here."""

import re

from inception_jax.config import counterparts
from inception_jax.config import defaults
from inception_jax.config import serialization
from tests.support.commands import ROOT


def flags_of(tool: str) -> set[str]:
  """Returns the flags that the text of a tool defines."""
  text = (ROOT / f'inception_jax/tools/{tool}.py').read_text()
  return set(re.findall(r"(?:DEFINE_\w+|define_paths?)\(\s*'(\w+)'", text))


def test_counterparts_exist():
  keys = {key for key, _ in serialization.flatten(defaults.get_config())}
  known = {f'config.{key}' for key in keys} | flags_of('train')
  known |= flags_of('export')
  for name, text in counterparts.COUNTERPARTS.items():
    for flag in re.findall(r'(?:^|--)([a-z]\w*(?:\.\w+)*)', text):
      assert flag in known, (name, flag)


def test_counterparts_are_flags_of_the_command():
  find = counterparts.find
  assert find('file_format', 'ONNX', {'format'}) == '--format=ONNX'
  assert find('file_format', 'ONNX', {'config'}) == ''
  assert find('lr', '0.1', {'workdir'}) == ''
  assert find('Batch-Size', '8', {'config'}).startswith('--config.batch_size=8')

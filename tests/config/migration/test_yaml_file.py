"""YAML of strangers."""

import pytest

from inception_jax.config.migration import yaml_file
from inception_jax.errors import UserError


def test_the_first_document_counts():
  content = b'lr: 1e-3\nscale: [0.5, 1]\n---\nlr: "the rate"\n--- [['
  assert yaml_file.parse(content, 'x') == {'lr': '1e-3', 'scale': [0.5, 1]}


@pytest.mark.parametrize(
  ('content', 'why'),
  [
    (b'', 'expected lines of KEY: VALUE'),
    (b'- a\n- b', 'expected lines of KEY: VALUE'),
    (b'1: 2', 'expected lines of KEY: VALUE'),
    (b'a: !!python/object/apply:os.system [id]', 'could not determine'),
    (b'a: &a [1]\nb: [*a, *a]', 'it has aliases'),
    (b'a: ' + b'[' * 5000, 'nested too deeply'),
    (b'a: 2001-99-99', 'month must be in'),
    (b'a: ' + b'9' * 5000, 'digits'),
    (b'\xff\xfe\x00', 'is not YAML'),
    (b'? [a, b]\n: 1', 'unhashable'),
    (b'? {a: b}\n: 1', 'unhashable'),
    (b'a: 1\n' * 60000, 'bytes are no config'),
    (b''.join(b'a%d: 1\n' % i for i in range(1001)), 'it has 1001 keys'),
  ],
)
def test_other_content_is_one_line(content, why):
  with pytest.raises(UserError, match=why) as caught:
    yaml_file.parse(content, 'x.yaml')
  (fault,) = caught.value.faults
  assert fault.startswith('x.yaml')

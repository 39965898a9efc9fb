"""Files written for other frameworks."""

import pathlib

import pytest

from inception_jax.errors import UserError
from inception_jax.weights import exporter
from inception_jax.weights import importer


def test_exported_file_reads_back_equal(tmp_path, timm_v3):
  path = str(tmp_path / 'v3.safetensors')
  exporter.save(timm_v3, path, 'timm')
  assert exporter.max_abs_diff(timm_v3, importer.load(path)) == 0
  content = pathlib.Path(path).read_bytes()
  for broken in (content[:1000], b'', b'\x80\x04junk'):
    pathlib.Path(path).write_bytes(broken)
    with pytest.raises(UserError, match='cannot be read'):
      importer.load(path)


def test_unsupported_network_is_not_exported(tmp_path, timm_v3):
  path = tmp_path / 'v3.ckpt'
  with pytest.raises(UserError, match='padding is ignored'):
    exporter.save(timm_v3, str(path), 'mindcv')
  assert not path.exists()

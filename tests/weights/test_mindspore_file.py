"""MindSpore's checkpoints, written and read."""

import numpy as np
import pytest

from inception_jax.errors import UserError
from inception_jax.weights import importer
from inception_jax.weights import mindspore_file


def test_written_file_reads_back_and_damage_is_an_error(tmp_path):
  path = tmp_path / 'x.ckpt'
  tensors = {'a': np.arange(6, dtype=np.float32).reshape(2, 3)}
  mindspore_file.write(str(path), tensors)
  np.testing.assert_array_equal(
    mindspore_file.read(str(path))['a'], tensors['a']
  )
  with pytest.raises(UserError, match='does not hold a known network'):
    importer.load(str(path))
  path.write_bytes(path.read_bytes()[:-5])
  with pytest.raises(UserError, match='cannot be read'):
    importer.load(str(path))

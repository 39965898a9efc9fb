"""Files of several parts, and of several precisions."""

import json

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from inception_jax.errors import UserError
from inception_jax.weights import importer
from inception_jax.weights import limits
from inception_jax.weights import readers

INDEX = 'model.safetensors.index.json'
FIRST, SECOND = (f'model-0000{i}-of-00002.safetensors' for i in (1, 2))
TENSORS = {
  name: np.arange(3, dtype=np.float32) + i for i, name in enumerate('abc')
}
WEIGHT_MAP = {'a': FIRST, 'b': SECOND, 'c': SECOND}


def write(folder, weight_map, **others):
  for file in (FIRST, SECOND):
    held = {k: TENSORS[k] for k, name in WEIGHT_MAP.items() if name == file}
    safetensors.numpy.save_file(held, folder / file)
  content = {'metadata': {'total_size': 36}, 'weight_map': weight_map, **others}
  (folder / INDEX).write_text(json.dumps(content))
  return str(folder / INDEX)


def test_shards(tmp_path):
  path = write(tmp_path, WEIGHT_MAP)
  (tmp_path / 'blob').mkdir()
  (tmp_path / FIRST).rename(tmp_path / 'blob' / 'x')
  (tmp_path / FIRST).symlink_to('blob/x')  # as in the hub's cache
  tensors, _ = readers.read(path)
  np.testing.assert_equal(tensors, TENSORS)


@pytest.mark.parametrize(
  ('change', 'reason'),
  [
    ({'a': f'../{FIRST}'}, 'is not the name of a file beside it'),
    ({'a': f'/tmp/{FIRST}'}, 'is not the name of a file beside it'),
    ({'a': 'x.safetensors'}, 'x.safetensors: no such file beside it'),
    ({'a': SECOND}, 'a is in no file'),
    ({'c': FIRST}, f'c of {SECOND} is not in the index'),
    ({'d': FIRST}, 'd is in no file'),
    ({'a': 5}, 'cannot be read as safetensors'),
  ],
)
def test_an_index_of_other_files_is_an_error(tmp_path, change, reason):
  path = write(tmp_path, WEIGHT_MAP | change)
  with pytest.raises(UserError, match=reason):
    importer.load(path)


@pytest.mark.parametrize(
  'content', ['', '[]', '{"weight_map": []}', '[' * 9999]
)
def test_a_broken_index_is_an_error(tmp_path, content):
  (tmp_path / INDEX).write_text(content)
  with pytest.raises(UserError, match='cannot be read as safetensors'):
    importer.load(str(tmp_path / INDEX))


def test_the_sum_of_all_shards_is_checked_first(tmp_path, monkeypatch):
  path = write(tmp_path, WEIGHT_MAP)
  size = sum((tmp_path / name).stat().st_size for name in (FIRST, SECOND))
  monkeypatch.setattr(limits, '_MAX_BYTES', size - 1)
  monkeypatch.setattr(safetensors.numpy, 'load_file', None)
  with pytest.raises(UserError, match=rf'declares {size} bytes of arrays'):
    importer.load(path)


@pytest.mark.parametrize('dtype', [np.float16, ml_dtypes.bfloat16])
def test_safetensors_of_half_precision(tmp_path, dtype):
  path = tmp_path / 'x.safetensors'
  values = np.array([[1.5, -2.0]], dtype)
  safetensors.numpy.save_file({'a': values}, path)
  tensors, _ = readers.read(str(path))
  np.testing.assert_array_equal(tensors['a'].astype(np.float32), [[1.5, -2.0]])

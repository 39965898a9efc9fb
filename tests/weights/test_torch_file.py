"""What is read of torch's files, with a stand-in for torch.

tests/parity/weight_files.py imports files of the real one.
"""

import contextlib
import sys
import types

import numpy as np
import pytest

from inception_jax.errors import UserError
from inception_jax.weights import readers
from inception_jax.weights import torch_file

ONE, TWO = ({'a': np.full(2, n, np.float32)} for n in (1, 2))


class Tensor:
  """What the reader uses of torch's tensors, which may require gradients."""

  def __init__(self, array, requires_grad=False):
    self._array, self._requires_grad = np.asarray(array), requires_grad

  def numel(self):
    return self._array.size

  def element_size(self):
    return self._array.itemsize

  def detach(self):
    return Tensor(self._array)

  def float(self):
    return Tensor(self._array.astype(np.float32), self._requires_grad)

  def numpy(self):
    if self._requires_grad:
      raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
    return self._array


@pytest.fixture
def read(tmp_path, monkeypatch):
  """Reads a file of which torch returns the given content."""

  def read(content, name='x.pth', start=b'\x80\x02'):
    torch = types.ModuleType('torch')
    torch.__version__, torch.Tensor = '2.14.1+cpu', Tensor
    torch.serialization = types.SimpleNamespace(
      safe_globals=lambda safe: contextlib.nullcontext(torch.safe.extend(safe))
    )
    torch.safe = []

    def load(path, map_location, weights_only):
      assert weights_only and map_location == 'cpu'
      assert sorted(name for _, name in torch.safe) == [
        'argparse.Namespace',
        'numpy._core.multiarray.scalar',
        'numpy.core.multiarray.scalar',
        'numpy.dtype',
      ]
      if isinstance(content, Exception):
        raise content
      return content

    torch.load = load
    monkeypatch.setitem(sys.modules, 'torch', torch)
    path = tmp_path / name
    path.write_bytes(start + bytes(1000))
    return readers.read(str(path))

  return read


def tensors(values):
  return {name: Tensor(array) for name, array in values.items()}


@pytest.mark.parametrize(
  ('content', 'expected', 'logged'),
  [
    (tensors(ONE), ONE, ''),
    ({'net': tensors(ONE), 'epoch': 3}, ONE, 'reading net'),
    (
      {'state_dict': tensors(ONE), 'state_dict_ema': tensors(TWO), 'args': 1},
      TWO,
      'reading state_dict_ema, not state_dict',
    ),
    ({'state_dict': tensors(ONE), 'state_dict_ema': None}, ONE, 'state_dict'),
    ({'model': {'state_dict': tensors(TWO)}, 'net': 'v3'}, TWO, 'state_dict'),
  ],
)
def test_the_network_is_found_and_said(read, content, expected, logged, caplog):
  with caplog.at_level('INFO', 'inception_jax'):
    found, _ = read(content)
  np.testing.assert_equal(found, expected)
  assert logged in caplog.text and ('reading' in caplog.text) == bool(logged)


def test_a_dictionary_that_contains_itself(read):
  content = tensors(ONE)
  content['model'] = content
  np.testing.assert_equal(read(content)[0], ONE)


def test_gradients_precisions_and_objects_beside_tensors(read):
  half = np.full(2, 1.5, np.float16)
  content = {
    'a': Tensor(np.full(2, 1, np.float32), requires_grad=True),
    'b': Tensor(half),
    'c': 'text',
    3: Tensor(half),
  }
  found, _ = read(content)
  assert {name: x.dtype for name, x in found.items()} == {
    'a': np.float32,
    'b': np.float32,
  }


@pytest.mark.parametrize(
  ('name', 'start', 'first'),
  [
    ('x.pth', b'\x80\x02', 'torchvision'),
    ('x.ckpt', b'\x80\x02', 'torchvision'),
    ('x.pth.tar', b'\x80\x02', 'timm'),
    ('x.bin', b'\x80\x02', 'timm'),
  ],
)
def test_endings(read, name, start, first):
  found, file_format = read(tensors(ONE), name, start)
  np.testing.assert_equal(found, ONE)
  assert file_format.frameworks[0] == first


BOLD = '\x1b[1mUnsupported\x1b[0m'


@pytest.mark.parametrize(
  ('reason', 'expected'),
  [
    (
      f'{BOLD} global: GLOBAL torchvision.Inception3 was not allowed'
      + 'x' * 300,
      'x.pth has an object of torchvision.Inception3, which could run code on '
      'loading; save only the state_dict',
    ),
    (f'{BOLD} operand 7', 'state_dict(), FILE): Unsupported operand 7'),
  ],
)
def test_a_refused_object_is_named(read, reason, expected):
  with pytest.raises(UserError) as error:
    read(RuntimeError(reason))
  (line,) = error.value.faults
  assert expected in line and '1b' not in line


def test_other_content_is_an_error(read):
  with pytest.raises(
    UserError, match="expected a state_dict, not <class 'list"
  ):
    read([1])


def test_objects_beside_tensors_keep_nothing():
  made = torch_file._Ignored('f8', False, True)
  made.__setstate__((3, '<', None))
  assert not hasattr(made, '__dict__') or not vars(made)

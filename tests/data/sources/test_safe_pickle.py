"""Pickles of CIFAR as its authors wrote them, re-saved ones, hostile ones."""

import collections
import pickle
import struct

import numpy as np
import pytest

from inception_jax.data.sources import safe_pickle

DATA = np.random.default_rng(0).integers(0, 256, (3, 3072), np.uint8)
LABELS = [6, 9, 255]
NAMES = ['leptodactylus.png', 'camion.png', 'é.png']


def as_python_2():
  """Returns what cPickle of Python 2 and numpy 1 write with protocol 2."""
  memo = 0

  def put():
    nonlocal memo
    memo += 1
    return b'q' + bytes([memo])

  def text(value):
    value = value.encode('latin1')
    return b'U' + bytes([len(value)]) + value + put()

  def name(module, attribute):
    return f'c{module}\n{attribute}\n'.encode() + put()

  pixels = DATA.tobytes()
  return b''.join(
    [
      b'\x80\x02}' + put() + b'(',
      text('batch_label') + text('training batch 1 of 5'),
      text('labels') + b']' + put() + b'(',
      *(b'K' + bytes([label]) for label in LABELS),
      b'e' + text('data'),
      name('numpy.core.multiarray', '_reconstruct') + name('numpy', 'ndarray'),
      b'K\0\x85' + put() + text('b') + b'\x87' + put() + b'R' + put(),
      b'(K\1K\3M\0\x0c\x86' + put(),
      name('numpy', 'dtype') + text('u1') + b'K\0K\1\x87' + put(),
      b'R' + put() + b'(K\3' + text('|') + b'NNN' + b'J\xff\xff\xff\xff' * 2,
      b'K\0t' + put() + b'b\x89T' + struct.pack('<i', len(pixels)) + pixels,
      put() + b't' + put() + b'b',
      text('filenames') + b']' + put() + b'(' + b''.join(map(text, NAMES)),
      b'eu.',
    ]
  )


def check(batch, names):
  assert list(batch) == [b'batch_label', b'labels', b'data', b'filenames']
  assert batch[b'labels'] == LABELS
  assert batch[b'data'].dtype == np.uint8
  np.testing.assert_array_equal(batch[b'data'], DATA)
  assert batch[b'filenames'] == names


def test_as_the_authors_wrote_them():
  content = as_python_2()
  # What this test is about is read by pickle, too.
  check(
    pickle.loads(content, encoding='bytes'), [n.encode('latin1') for n in NAMES]
  )
  check(safe_pickle.loads(content), [n.encode('latin1') for n in NAMES])


@pytest.mark.parametrize('protocol', [2, 3, 4, 5])
@pytest.mark.parametrize('encoding', ['bytes', 'latin1'])
def test_as_python_3_saves_them_again(protocol, encoding):
  batch = pickle.loads(as_python_2(), encoding=encoding)
  content = pickle.dumps(batch, protocol)
  check(safe_pickle.loads(content), batch[next(reversed(batch))])
  many = {
    'labels': list(range(3000)),
    'more': [-1, 2**31, True, None, (), (1,)],
  }
  many[b'again'] = many['more']
  read = safe_pickle.loads(pickle.dumps(many, protocol))
  assert read.pop(b'again') is read[b'more']
  assert list(read.values()) == list(many.values())[:2]


class Call:
  """Pickled as a call, and a state that is set after it."""

  def __init__(self, *reduced):
    self.reduced = reduced

  def __reduce__(self):
    return self.reduced


OBJECTS = Call(
  np.dtype,
  ('V8', False, True),
  (3, '|', (np.dtype('O'), (1,)), None, None, 8, 1, 0),
)
UINT8 = np.dtype('u1')
RECONSTRUCT = (np._core.multiarray._reconstruct, (np.ndarray, (0,), b'b'))


def deep(repeated, begin=b'\x80\x02}', end=b's.'):
  return begin + repeated * 200_000 + end


@pytest.mark.parametrize(
  'value',
  [
    # Its 8 bytes would become a pointer.
    Call(*RECONSTRUCT, (1, (1,), OBJECTS, False, b'A' * 8)),
    Call(np._core.numeric._frombuffer, (b'A' * 8, OBJECTS, (1,), 'C')),
    OBJECTS,
    Call(np.dtype, ('u1', False, True), (3, '|', None, (), {}, -1, -1, 0)),
    Call(np.dtype, ('O', False, True)),
    Call(*RECONSTRUCT, (1, (2,), UINT8, False, b'abc')),
    Call(*RECONSTRUCT, (1, (2**40,), UINT8, False, b'abc')),
    Call(*RECONSTRUCT, (1, (1,) * 99, UINT8, False, b'a')),
    Call(*RECONSTRUCT, (1, (1,), UINT8, False, [b'a'])),
    Call(*RECONSTRUCT, (1, (3,), UINT8, True, b'abc')),
    Call(*RECONSTRUCT),
    np.arange(3),
    np.array(['a'], object),
    np.zeros(3, 'u1,u1'),
    np.int64(3),
    np.uint8(3),
    1.5,
    {1: 2},
    {(): 2},
    {1, 2},
    2**2100,
    collections.OrderedDict(a=1),
    Call(print, ('!',)),
    Call(eval, ('1',)),
    Call(getattr, ('', 'join')),
  ],
)
@pytest.mark.parametrize('protocol', [0, 2, 4, 5])
def test_nothing_else_is_read(value, protocol, capfd):
  content = pickle.dumps({b'data': value}, protocol)
  with pytest.raises(pickle.UnpicklingError) as error:
    safe_pickle.loads(content)
  assert len(str(error.value)) < 200
  assert capfd.readouterr() == ('', '')


@pytest.mark.parametrize(
  'content',
  [
    b'',
    b'.',
    b'\x80\x02.',
    b'\x80\x02e.',
    b'\x80\x02h\7.',
    b'\x80\x02(u.',
    b'\x80\x02}(K\1u.',
    b'\x80\x02\x87.',
    b'\x80\x02K\1K\1R.',
    b'\x80\x02K\1)b.',
    b'\x80\x02cos\nsystem\n.',
    b'\x80\x02cnumpy\x1b[2J\n' + b'a' * 5000 + b'\n.',
    b'\x80\x02P1\n.',
    b'\x80\x02\x82\1.',
    b'\x80\x02T\xff\xff\xff\x7f',
    b'\x80\x02B\xff\xff\xff\xffabc',
    b'\x80\x04\x8e' + b'\xff' * 8 + b'abc',
    b'\x80\x05\x96' + b'\xff' * 8 + b'abc',
    b'\x80\x02I' + b'9' * 5000 + b'\n.',
    # Hashing this key exhausts the stack.
    deep(b'\x85', b'\x80\x02})', b'K\1s.'),
    # More values than CIFAR has.
    deep(b'K\1' * 6, b'\x80\x02](', b'e.'),
    deep(b'h\0' * 6, b'\x80\x02]q\0(', b'e.'),
  ],
)
def test_malformed_pickles_are_refused(content):
  with pytest.raises(pickle.UnpicklingError) as error:
    safe_pickle.loads(content)
  assert len(str(error.value)) < 200 and str(error.value).isprintable()


def test_nesting_and_sharing_are_not_followed():
  content = deep(b'\x85', b'\x80\x02}U\1a)', b's.')
  assert type(safe_pickle.loads(content)[b'a']) is tuple
  # 2**200 elements.
  shared = b'\x80\x02}U\1a)q\0' + b'h\0\x86q\0' * 200 + b's.'
  assert len(safe_pickle.loads(shared)[b'a']) == 2


def test_changed_bytes_are_an_error_or_plain_values():
  rng = np.random.default_rng(0)
  originals = [
    pickle.dumps(pickle.loads(as_python_2(), encoding='bytes'), protocol)
    for protocol in (2, 3, 4, 5)
  ]
  originals.append(as_python_2())
  interesting = b''.join(o.replace(DATA.tobytes(), b'') for o in originals)
  for i in range(2000):
    content = bytearray(originals[i % len(originals)])
    # Not in the pixels, where all is allowed.
    places = [*range(150), *range(len(content) - 150, len(content))]
    for at in rng.choice(places, rng.integers(1, 5)):
      content[at] = rng.choice([interesting[rng.integers(250)], *b'Rbq.'])
    try:
      value = safe_pickle.loads(bytes(content))
    except pickle.UnpicklingError:
      continue
    if type(value) is dict:
      assert {*map(type, value)} <= {bytes}
      for array in value.values():
        assert not isinstance(array, np.ndarray) or array.dtype == np.uint8

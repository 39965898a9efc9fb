"""Reading pickles of plain values and uint8 arrays, without unpickling.

A pickle is a program that calls functions by name. Even numpy's own ones take
a state that makes pointers of bytes. Here, none is called: the few calls that
a pickled array consists of are recognized, and its bytes are looked at.
"""

import enum
import pickle
import pickletools
from typing import Any

import numpy as np

# CIFAR-100's training file has 400,000, or 800,000 where Python 3 has saved it
# with protocol 2.
_MAX_OPERATIONS = 2**20
_NO_VALUES = {'NONE': None, 'NEWTRUE': True, 'NEWFALSE': False}
_VALUES = {
  *('BININT', 'BININT1', 'BININT2', 'LONG1'),
  *('BINUNICODE', 'SHORT_BINUNICODE', 'BINUNICODE8'),
  *('BINBYTES', 'SHORT_BINBYTES', 'BINBYTES8', 'BYTEARRAY8'),
}
_EMPTY = {'EMPTY_LIST': list, 'EMPTY_DICT': dict, 'EMPTY_TUPLE': tuple}
_TUPLES = {'TUPLE1': 1, 'TUPLE2': 2, 'TUPLE3': 3}


class _Name(enum.Enum):
  """What a pickled array may refer to; the names are those of numpy 1."""

  RECONSTRUCT = 'numpy.core.multiarray _reconstruct'
  FROM_BUFFER = 'numpy.core.numeric _frombuffer'
  ARRAY = 'numpy ndarray'
  DTYPE = 'numpy dtype'
  # With it, Python 3 writes bytes in protocol 2.
  ENCODE = '_codecs encode'


class _Array:
  """An array whose elements follow, or have followed."""

  def __init__(self, elements: np.ndarray | None = None):
    self.elements = elements


def loads(content: bytes) -> Any:
  """Reads a pickle of protocol 2 to 5; strings of Python 2 become bytes.

  Returns:
    int, bool, str, bytes, bytearray, None, and lists, tuples and dicts of
    these. Keys of dicts are bytes; their values may be uint8 arrays.

  Raises:
    pickle.UnpicklingError: it has anything else, or is damaged.
  """
  try:
    return _Machine().run(content)
  except pickle.UnpicklingError:
    raise
  except Exception as error:  # whatever a wrong operand leads to
    raise pickle.UnpicklingError(f'malformed pickle: {error!r:.80}') from error


class _Machine:
  """The stack machine that a pickle is a program of."""

  def __init__(self):
    self._stack, self._marks, self._memo = [], [], {}

  def run(self, content: bytes) -> Any:
    """Returns the value on the stack at the end."""
    for count, (opcode, value, _) in enumerate(pickletools.genops(content)):
      if count >= _MAX_OPERATIONS:
        raise pickle.UnpicklingError('it is too long')
      if opcode.name == 'STOP':
        return self._stack.pop()
      self._execute(opcode.name, value)

  def _execute(self, name: str, value: Any) -> None:
    stack = self._stack
    if name in _VALUES:
      stack.append(value)
    elif name in ('BINPUT', 'LONG_BINPUT'):
      self._memo[value] = stack[-1]
    elif name == 'MEMOIZE':
      self._memo[len(self._memo)] = stack[-1]
    elif name in ('BINGET', 'LONG_BINGET'):
      stack.append(self._memo[value])
    elif name in ('SHORT_BINSTRING', 'BINSTRING'):
      stack.append(value.encode('latin1'))
    elif name == 'MARK':
      self._marks.append(len(stack))
    elif name in ('APPEND', 'APPENDS'):
      items = self._pop(1 if name == 'APPEND' else None)
      _check(stack[-1], list).extend(items)
    elif name in ('SETITEM', 'SETITEMS'):
      items = iter(self._pop(2 if name == 'SETITEM' else None))
      for key in items:
        _check(stack[-1], dict)[_key(key)] = _value(next(items))
    elif name in _EMPTY:
      stack.append(_EMPTY[name]())
    elif name in _NO_VALUES:
      stack.append(_NO_VALUES[name])
    elif name == 'TUPLE' or name in _TUPLES:
      stack.append(tuple(self._pop(_TUPLES.get(name))))
    elif name == 'GLOBAL':
      stack.append(_name(value))
    elif name == 'STACK_GLOBAL':
      module, attribute = self._pop(2)
      stack.append(_name(f'{_check(module, str)} {_check(attribute, str)}'))
    elif name == 'REDUCE':
      function, arguments = self._pop(2)
      stack.append(_call(function, _check(arguments, tuple)))
    elif name == 'BUILD':
      (state,) = self._pop(1)
      _set_state(stack[-1], _check(state, tuple))
    elif name not in ('PROTO', 'FRAME'):
      raise pickle.UnpicklingError(f'it uses {name}')

  def _pop(self, count: int | None) -> list[Any]:
    """Removes the last `count` values, or those since the last mark."""
    begin = self._marks.pop() if count is None else len(self._stack) - count
    if begin < 0:
      raise ValueError('empty stack')
    values = self._stack[begin:]
    del self._stack[begin:]
    return values


def _check(value: Any, kind: type) -> Any:
  if type(value) is not kind:
    raise TypeError(f'{type(value).__name__} in place of {kind.__name__}')
  return value


def _key(key: Any) -> bytes:
  # No other type: the hash of a tuple in tuples exhausts the stack.
  return key.encode() if type(key) is str else _check(key, bytes)


def _value(value: Any) -> Any:
  return _check(value.elements, np.ndarray) if type(value) is _Array else value


def _name(name: str) -> _Name:
  try:
    return _Name(name.replace('numpy._core.', 'numpy.core.'))
  except ValueError:
    name = name.replace(' ', '.').encode('unicode_escape').decode()
    raise pickle.UnpicklingError(f'it refers to {name:.80}') from None


def _call(function: Any, arguments: tuple) -> Any:
  """Returns what a call in a pickled array stands for."""
  match (function, *arguments):
    case _Name.RECONSTRUCT, _Name.ARRAY, (0,), b'b' | 'b':
      return _Array()
    case _Name.DTYPE, b'u1' | 'u1', 0, 1:
      return np.uint8
    case _Name.FROM_BUFFER, bytes() | bytearray() as data, np.uint8, shape, 'C':
      return _Array(_elements(data, shape))
    case _Name.ENCODE, str() as text, 'latin1':
      return text.encode('latin1')
  raise pickle.UnpicklingError('it has a call other than for a uint8 array')


def _set_state(target: Any, state: tuple) -> None:
  match (target, *state):
    case _Array(), 1, shape, np.uint8, 0, bytes() as data:
      target.elements = _elements(data, shape)
    case np.uint8, 3, b'|' | '|', None, None, None, -1, -1, 0:
      pass  # as of every one-byte type
    case _:
      raise pickle.UnpicklingError('it has a state other than of a uint8 array')


def _elements(data: bytes, shape: Any) -> np.ndarray:
  return np.frombuffer(data, np.uint8).reshape(_check(shape, tuple))

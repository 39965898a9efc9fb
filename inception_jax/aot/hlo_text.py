"""XLA's compiled text, taken apart.

`compiled.as_text()` has every instruction in the order in which it is run, the
shape and layout of what it makes, and on TPUs the compiler's own estimate of
its cycles.
"""

from collections.abc import Iterator
import dataclasses
import math
import re
from typing import NamedTuple

# Instructions that run others, as instructions of their own.
CALLS = ('while', 'call', 'conditional', 'async-start')

_COMPUTATION = re.compile(r'(ENTRY )?%?([\w.<>-]+) \(.*\{$')

_NAME = re.compile(r'\s+(ROOT )?%?([\w.<>-]+) = ')

_OPCODE = re.compile(r' ([\w-]+)\(')

_OPERAND = re.compile(r'%([\w.<>-]+)')

_ARRAY = re.compile(r'(\w+)\[([\d,]*)\](?:\{([^}]*)\})?')

_CALLED = re.compile(
  r'(?:calls|body|to_apply|\w+_computation)=%([\w.<>-]+)'
  r'|branch_computations=\{([^}]*)\}'
)

_BRACKET = re.compile(r'[()]')

_CONDITION = re.compile(r'condition=%([\w.<>-]+)')

_TRIPS = re.compile(r'known_trip_count":\{"n":"(\d+)"')

_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')

_OP_NAME = re.compile(r'op_name="((?:[^"\\]|\\.)*)"')


class Array(NamedTuple):
  """One array of a shape.

  Attributes:
    size: bytes of its elements.
    stored: bytes that it takes, its last dimensions filled up to whole tiles.
    in_hbm: whether it lies there: S(1) of a layout is VMEM, others smaller.
  """

  size: int
  stored: int
  in_hbm: bool


@dataclasses.dataclass(frozen=True)
class Instruction:
  """A line of the text.

  Attributes:
    name: without its %.
    arrays: what it makes: one, or those of a tuple.
    opcode: 'fusion'.
    operands: names.
    attributes: the rest of the line.
    literal: of a parameter its place, of a constant its value.
    is_root: whether it is what its computation gives.
  """

  name: str
  arrays: tuple[Array, ...]
  opcode: str
  operands: tuple[str, ...]
  attributes: str
  literal: str
  is_root: bool

  @property
  def cycles(self) -> int | None:
    """The compiler's estimate; None if it makes none."""
    found = _CYCLES.search(self.attributes)
    return int(found[1]) if found else None

  @property
  def op_name(self) -> str:
    """The path of JAX's names that it comes from; '' without."""
    found = _OP_NAME.search(self.attributes)
    return found[1] if found else ''

  @property
  def called(self) -> list[str]:
    """Computations that it names."""
    names = []
    for one, several in _CALLED.findall(self.attributes):
      names += [one] if one else _OPERAND.findall(several)
    return names


Computation = dict[str, Instruction]


class Text:
  """A compiled program.

  Attributes:
    computations: by name, their instructions by name.
    entry: the computation that is run.

  Raises:
    ValueError: it is no compiled program.
  """

  def __init__(self, text: str):
    self.computations: dict[str, Computation] = {}
    self.entry = ''
    current = None
    for line in text.splitlines():
      if current is None:
        if match := _COMPUTATION.match(line):
          current = self.computations.setdefault(match[2], {})
          self.entry = match[2] if match[1] else self.entry
      elif line.startswith('}'):
        current = None
      elif match := _NAME.match(line):
        instruction = _parse(match, line)
        current[instruction.name] = instruction
    if not self.entry:
      raise ValueError('the text of a compiled program has an ENTRY')

  def executed(
    self, inside: bool = False
  ) -> Iterator[tuple[Instruction, Computation, int]]:
    """Each instruction that is run: itself, its computation, how often.

    Of a loop these are the body's, as often as it goes round; of a branch, all
    there is to choose from.

    Args:
      inside: whether those inside of fusions and reductions, too.
    """
    return self._walk(self.entry, 1, inside)

  def _walk(self, name: str, times: int, inside: bool):
    computation = self.computations[name]
    for instruction in computation.values():
      yield instruction, computation, times
      if inside or instruction.opcode in CALLS:
        again = times * self._trips(instruction)
        for called in instruction.called:
          yield from self._walk(called, again, inside)

  def _trips(self, instruction: Instruction) -> int:
    """How often a loop goes round; 1 where the text does not say it."""
    if found := _TRIPS.search(instruction.attributes):
      return int(found[1])
    if found := _CONDITION.search(instruction.attributes):
      # JAX counts from 0 up to a constant.
      condition = self.computations[found[1]]
      (root,) = [i for i in condition.values() if i.is_root]
      last = condition[root.operands[-1]]
      if 'direction=LT' in root.attributes and last.opcode == 'constant':
        return int(last.literal)
    return 1


def arrays(shape: str) -> tuple[Array, ...]:
  """The arrays of 'f32[8,3]{1,0:T(8,128)S(1)}', or of a tuple of such."""
  return tuple(_array(*found.groups()) for found in _ARRAY.finditer(shape))


def _array(dtype: str, dims: str, layout: str | None) -> Array:
  digits = re.search(r'\d+', dtype)
  bits = 8 if dtype == 'pred' else int(digits[0]) if digits else 0
  lengths = [int(n) for n in dims.split(',') if n]
  size = math.prod(lengths) * bits // 8
  order, _, tiles = (layout or '').partition(':')
  minor_first = [lengths[int(i)] for i in order.split(',') if i]
  if found := re.match(r'T\(([\d,]+)\)', tiles):
    tile = [int(n) for n in found[1].split(',')][::-1]
    minor_first += [1] * (len(tile) - len(minor_first))
    for i, length in enumerate(tile):
      minor_first[i] = -(-minor_first[i] // length) * length
    stored = math.prod(minor_first) * bits // 8
  else:
    stored = size
  space = re.search(r'S\((\d+)\)', tiles)
  return Array(size, stored, space is None or space[1] == '0')


def _parse(match: re.Match, line: str) -> Instruction:
  start = match.end()
  # A tuple's shape has layouts, hence brackets, in its brackets.
  end = _closing(line, start) if line[start] == '(' else start
  opcode = _OPCODE.search(line, end)
  begin = opcode.end() - 1
  close = _closing(line, begin)
  given = line[begin:close]
  return Instruction(
    name=match[2],
    arrays=arrays(line[start : opcode.start()]),
    opcode=opcode[1],
    operands=tuple(_OPERAND.findall(given)),
    attributes=line[close:],
    literal=given[1:-1] if opcode[1] in ('parameter', 'constant') else '',
    is_root=bool(match[1]),
  )


def _closing(line: str, start: int) -> int:
  """Just after the bracket that closes the one at `start`."""
  depth = 0
  for match in _BRACKET.finditer(line, start):
    depth += 1 if match[0] == '(' else -1
    if not depth:
      return match.end()
  return len(line)

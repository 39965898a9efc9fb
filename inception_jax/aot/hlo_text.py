"""Parses the text of a compiled XLA program (scheduled HLO).

`compiled.as_text()` lists every instruction in execution order with the shape
and layout of its result and, on TPUs, the compiler's estimate of its cycles.
"""

from collections.abc import Iterator
import dataclasses
import math
import re
from typing import NamedTuple

# Opcodes that execute other computations' instructions one by one.
CONTROL_FLOW = ('while', 'call', 'conditional', 'async-start')

_COMPUTATION = re.compile(r'(ENTRY )?%?([\w.<>-]+) \(.*\{$')
_NAME = re.compile(r'\s+(ROOT )?%?([\w.<>-]+) = ')
_OPCODE = re.compile(r' ([\w-]+)\(')
_OPERAND = re.compile(r'%([\w.<>-]+)')
_ARRAY = re.compile(r'(\w+)\[([\d,]*)\](?:\{([^}]*)\})?')
_CALLEES = re.compile(
  r'(?:calls|body|to_apply|\w+_computation)=%([\w.<>-]+)'
  r'|branch_computations=\{([^}]*)\}'
)
_BRACKET = re.compile(r'[()]')
_CONDITION = re.compile(r'condition=%([\w.<>-]+)')
_TRIP_COUNT = re.compile(r'known_trip_count":\{"n":"(\d+)"')
_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
_OP_NAME = re.compile(r'op_name="((?:[^"\\]|\\.)*)"')


class Array(NamedTuple):
  """Sizes and memory space of one array.

  Attributes:
    size: bytes of its elements.
    padded_size: bytes in memory, its minor dimensions padded to whole tiles.
    in_hbm: whether it is in HBM. A layout's S(1) is VMEM; higher numbers are
      smaller memories.
  """

  size: int
  padded_size: int
  in_hbm: bool


@dataclasses.dataclass(frozen=True)
class Instruction:
  """One HLO instruction, a line of the text.

  Attributes:
    outputs: its result: one array, or the arrays of a tuple.
    operands: names of instructions, without the leading %.
    attributes: the rest of the line.
    literal: a parameter's index or a constant's value, else ''.
    is_root: whether its result is that of its computation.
  """

  name: str
  outputs: tuple[Array, ...]
  opcode: str
  operands: tuple[str, ...]
  attributes: str
  literal: str
  is_root: bool

  @property
  def cycles(self) -> int | None:
    """The compiler's estimate of its cycles; None if there is none."""
    match = _CYCLES.search(self.attributes)
    return int(match[1]) if match else None

  @property
  def op_name(self) -> str:
    """The path of JAX names it was traced from; '' if there is none."""
    match = _OP_NAME.search(self.attributes)
    return match[1] if match else ''

  @property
  def callees(self) -> list[str]:
    """Names of the computations that it calls."""
    names = []
    for one, several in _CALLEES.findall(self.attributes):
      names += [one] if one else _OPERAND.findall(several)
    return names


Computation = dict[str, Instruction]  # by name


class Program:
  """A parsed program: its computations, and the name of the entry computation.

  Raises ValueError if the text has no entry computation.
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
        instruction = _parse_instruction(match, line)
        current[instruction.name] = instruction
    if not self.entry:
      raise ValueError('not the text of a compiled program: it has no ENTRY')

  def executed(
    self, inside_fusions: bool = False
  ) -> Iterator[tuple[Instruction, Computation, int]]:
    """Yields each executed instruction, its computation and execution count.

    A loop body's instructions are counted once per iteration. Every branch of
    a conditional is counted. `inside_fusions` also yields the instructions
    within fusions and reductions.
    """
    return self._walk(self.entry, 1, inside_fusions)

  def _walk(self, name: str, count: int, inside_fusions: bool):
    computation = self.computations[name]
    for instruction in computation.values():
      yield instruction, computation, count
      if inside_fusions or instruction.opcode in CONTROL_FLOW:
        total = count * self._trip_count(instruction)
        for callee in instruction.callees:
          yield from self._walk(callee, total, inside_fusions)

  def _trip_count(self, instruction: Instruction) -> int:
    """Returns a loop's number of iterations; 1 if it is unknown."""
    if match := _TRIP_COUNT.search(instruction.attributes):
      return int(match[1])
    if match := _CONDITION.search(instruction.attributes):
      # JAX's loops count from 0 up to a constant.
      condition = self.computations[match[1]]
      (root,) = [i for i in condition.values() if i.is_root]
      last = condition[root.operands[-1]]
      if 'direction=LT' in root.attributes and last.opcode == 'constant':
        return int(last.literal)
    return 1


def parse_shape(shape: str) -> tuple[Array, ...]:
  """Parses 'f32[8,3]{1,0:T(8,128)S(1)}', or a tuple of such shapes."""
  return tuple(_parse_array(*m.groups()) for m in _ARRAY.finditer(shape))


def _parse_array(dtype: str, dims: str, layout: str | None) -> Array:
  digits = re.search(r'\d+', dtype)
  bits = 8 if dtype == 'pred' else int(digits[0]) if digits else 0
  lengths = [int(n) for n in dims.split(',') if n]
  size = math.prod(lengths) * bits // 8
  order, _, tiles = (layout or '').partition(':')
  minor_first = [lengths[int(i)] for i in order.split(',') if i]
  if match := re.match(r'T\(([\d,]+)\)', tiles):
    tile = [int(n) for n in match[1].split(',')][::-1]
    minor_first += [1] * (len(tile) - len(minor_first))
    for i, length in enumerate(tile):
      minor_first[i] = -(-minor_first[i] // length) * length
    padded_size = math.prod(minor_first) * bits // 8
  else:
    padded_size = size
  space = re.search(r'S\((\d+)\)', tiles)
  return Array(size, padded_size, space is None or space[1] == '0')


def _parse_instruction(match: re.Match, line: str) -> Instruction:
  start = match.end()
  # The layouts within a tuple's shape have parentheses, too.
  end = _closing(line, start) if line[start] == '(' else start
  opcode = _OPCODE.search(line, end)
  begin = opcode.end() - 1
  close = _closing(line, begin)
  operands = line[begin:close]
  return Instruction(
    name=match[2],
    outputs=parse_shape(line[start : opcode.start()]),
    opcode=opcode[1],
    operands=tuple(_OPERAND.findall(operands)),
    attributes=line[close:],
    literal=operands[1:-1] if opcode[1] in ('parameter', 'constant') else '',
    is_root=bool(match[1]),
  )


def _closing(line: str, start: int) -> int:
  """Returns the index just after the parenthesis that closes `line[start]`."""
  depth = 0
  for match in _BRACKET.finditer(line, start):
    depth += 1 if match[0] == '(' else -1
    if not depth:
      return match.end()
  return len(line)

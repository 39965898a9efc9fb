"""What a compiled program costs, by its text: bytes, cycles, collectives."""

import itertools
import re

from inception_jax.aot import hlo_text
from inception_jax.aot.hlo_text import Array
from inception_jax.aot.hlo_text import Computation
from inception_jax.aot.hlo_text import Instruction
from inception_jax.aot.hlo_text import Text

COLLECTIVES = (
  'all-reduce',
  'all-gather',
  'reduce-scatter',
  'all-to-all',
  'collective-permute',
)

# They move nothing, or what they move is counted where it is begun.
_FREE = (
  *hlo_text.CALLS,
  'parameter',
  'constant',
  'get-tuple-element',
  'tuple',
  'bitcast',
  'opt-barrier',
  'partition-id',
  'replica-id',
)

# Calls of the compiler's own that are names for memory.
_NO_CALL = re.compile('custom_call_target="(AllocateBuffer|ConcatBitcast)"')

_SLICES = ('slice', 'dynamic-slice', 'gather')

_UPDATE = 'dynamic-update-slice'


def collectives(text: Text) -> dict[str, dict[str, int]]:
  """{kind: {'count', 'bytes'}} of a step; bytes of what a device gives.

  Those inside of fusions, too. One that is begun and awaited is one.
  """
  found = {}
  for instruction, own, times in text.executed(inside=True):
    kind = instruction.opcode.removesuffix('-start')
    if kind in COLLECTIVES:
      entry = found.setdefault(kind, {'count': 0, 'bytes': 0})
      entry['count'] += times
      given = (own[name].arrays for name in instruction.operands)
      entry['bytes'] += times * sum(a.size for arrays in given for a in arrays)
  return found


def hbm_bytes(text: Text) -> int:
  """Bytes that a step reads from and writes to HBM, tiles filled up.

  Each operand and each result of an instruction counts once, of a slice that
  part. A fusion that reads an operand more than once does not show.
  """
  return sum(
    times * _moved(text, instruction, own)
    for instruction, own, times in text.executed()
  )


def cycles(text: Text) -> int:
  """The sum of the compiler's own estimates."""
  return sum((i.cycles or 0) * times for i, _, times in text.executed())


def without_estimate(text: Text) -> dict[str, dict[str, int]]:
  """{opcode: {'count', 'hbm_bytes'}} of what `cycles` leaves out."""
  found = {}
  for instruction, own, times in text.executed():
    if instruction.cycles is None and not _is_free(instruction):
      entry = found.setdefault(instruction.opcode, {'count': 0, 'hbm_bytes': 0})
      entry['count'] += times
      entry['hbm_bytes'] += times * _moved(text, instruction, own)
  return found


def layers(text: Text) -> dict[tuple[str, str, str], int]:
  """{(layer, operation, pass): cycles}, the slowest first; see `layer`."""
  found = {}
  for instruction, _, times in text.executed():
    if instruction.cycles:
      key = layer(instruction.op_name)
      found[key] = found.get(key, 0) + times * instruction.cycles
  return dict(sorted(found.items(), key=lambda item: -item[1]))


def layer(op_name: str) -> tuple[str, str, str]:
  """The layer, the operation there, and 'forward' or 'backward'.

  Args:
    op_name: 'jit(step)/transpose(jvp(Inception))/mixed_5b/conv/mul' is
      ('mixed_5b/conv', 'mul', 'backward'). What is outside of the network has
      neither layer nor pass. Of a fusion it is that of one of its operations.
  """
  *path, operation = op_name.split('/')
  for i, part in enumerate(path):
    if 'Inception' in part:
      inside = [name for name in path[i + 1 :] if '(' not in name]
      # What a platform has of its own is behind a switch: part of the layer.
      inside = list(itertools.takewhile('cond'.__ne__, inside))
      way = 'backward' if 'transpose' in part else 'forward'
      return '/'.join(inside), operation, way
  return '', operation, ''


def _is_free(instruction: Instruction) -> bool:
  opcode = instruction.opcode
  if opcode == 'custom-call':
    return bool(_NO_CALL.search(instruction.attributes))
  return opcode in _FREE or opcode.endswith(('-done', 'async-update'))


def _moved(text: Text, instruction: Instruction, own: Computation) -> int:
  """Bytes that one instruction moves to or from HBM."""
  opcode, results = instruction.opcode, instruction.arrays
  if _is_free(instruction):
    return 0
  if opcode == 'copy-start':  # makes: to, from, a flag
    return _in_hbm(results[:2])
  if opcode == 'slice-start':  # makes: from, to, a flag
    return results[1].stored * (results[0].in_hbm + results[1].in_hbm)
  given = [own[name].arrays for name in instruction.operands]
  if opcode == 'fusion':
    return _moved_by_fusion(text, instruction, given)
  if opcode in _SLICES:
    return _in_hbm(results) + _part(results, given[0])
  if opcode == _UPDATE:  # in place
    return 2 * _part(given[1], results)
  return _in_hbm(results) + sum(map(_in_hbm, given))


def _moved_by_fusion(text: Text, instruction: Instruction, given) -> int:
  (called,) = instruction.called
  inner = text.computations[called].values()
  (root,) = [i for i in inner if i.is_root]
  total = 0
  for parameter in inner:
    if parameter.opcode != 'parameter':
      continue
    users = [i for i in inner if parameter.name in i.operands]
    first = all(i.operands[0] == parameter.name for i in users)
    if first and {i.opcode for i in users} == {_UPDATE}:
      continue  # written in place
    if first and {i.opcode for i in users} <= set(_SLICES):
      parts = [array for i in users for array in i.arrays]
      total += _part(parts, given[int(parameter.literal)])
    else:
      total += _in_hbm(given[int(parameter.literal)])
  if root.opcode == _UPDATE:
    update = text.computations[called][root.operands[1]].arrays
    return total + _part(update, instruction.arrays)
  return total + _in_hbm(instruction.arrays)


def _in_hbm(arrays: tuple[Array, ...]) -> int:
  return sum(array.stored for array in arrays if array.in_hbm)


def _part(arrays, of: tuple[Array, ...]) -> int:
  """Bytes of a part of arrays, if those lie in HBM."""
  return sum(a.stored for a in arrays) * any(a.in_hbm for a in of)

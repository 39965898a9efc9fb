"""Estimates what a compiled program costs: bytes, cycles and collectives."""

import collections
import itertools
import re

from inception_jax.aot import hlo_text
from inception_jax.aot.hlo_text import Instruction
from inception_jax.aot.hlo_text import Program

COLLECTIVES = (
  'all-reduce',
  'all-gather',
  'reduce-scatter',
  'all-to-all',
  'collective-permute',
)
# These move no bytes, or their bytes are counted at another instruction.
_FREE = (
  *hlo_text.CONTROL_FLOW,
  'parameter',
  'constant',
  'get-tuple-element',
  'tuple',
  'bitcast',
  'opt-barrier',
  'partition-id',
  'replica-id',
)
# Custom calls that only name memory.
_FREE_CALL = re.compile('custom_call_target="(AllocateBuffer|ConcatBitcast)"')
_SLICES = ('slice', 'dynamic-slice', 'gather')
_UPDATE = 'dynamic-update-slice'


def collectives(program: Program) -> dict[str, dict[str, int]]:
  """Returns {kind: {'count', 'bytes'}}, the operand bytes per device and step.

  Collectives within fusions are included. An asynchronous one counts once.
  """
  totals = {}
  for instruction, scope, count in program.executed(inside_fusions=True):
    kind = instruction.opcode.removesuffix('-start')
    if kind in COLLECTIVES:
      entry = totals.setdefault(kind, {'count': 0, 'bytes': 0})
      entry['count'] += count
      inputs = (scope[name].outputs for name in instruction.operands)
      entry['bytes'] += count * sum(a.size for arrays in inputs for a in arrays)
  return totals


def hbm_bytes(program: Program) -> int:
  """Returns the bytes that a step reads from and writes to HBM, with padding.

  Each operand and each result of an instruction counts once; of a slice, only
  the part that is read or written. Repeated reads of an operand within a fusion
  are not visible in the text.
  """
  return sum(
    count * _hbm_bytes_of(program, instruction, scope)
    for instruction, scope, count in program.executed()
  )


def estimated_cycles(program: Program) -> int:
  """Returns the sum of the compiler's cycle estimates."""
  return sum((i.cycles or 0) * count for i, _, count in program.executed())


def without_estimate(program: Program) -> dict[str, dict[str, int]]:
  """Returns {opcode: {'count', 'hbm_bytes'}} where there is no cycle estimate.

  These instructions are left out of `estimated_cycles`.
  """
  totals = {}
  for instruction, scope, count in program.executed():
    if instruction.cycles is None and not _is_free(instruction):
      entry = totals.setdefault(
        instruction.opcode, {'count': 0, 'hbm_bytes': 0}
      )
      entry['count'] += count
      entry['hbm_bytes'] += count * _hbm_bytes_of(program, instruction, scope)
  return totals


def cycles_by_layer(program: Program) -> dict[tuple[str, str, str], int]:
  """Returns {(layer, operation, pass): cycles}, slowest first."""
  totals = collections.Counter()
  for instruction, _, count in program.executed():
    if instruction.cycles:
      key = parse_op_name(instruction.op_name)
      totals[key] += count * instruction.cycles
  return dict(totals.most_common())


def parse_op_name(op_name: str) -> tuple[str, str, str]:
  """Returns the layer, the operation, and 'forward' or 'backward'.

  'jit(step)/transpose(jvp(Inception))/mixed_5b/conv/mul' gives
  ('mixed_5b/conv', 'mul', 'backward'). Outside the network, layer and pass are
  ''. A fusion has the name of one of its operations.
  """
  *path, operation = op_name.split('/')
  for i, part in enumerate(path):
    if 'Inception' in part:
      inside = [name for name in path[i + 1 :] if '(' not in name]
      # The branches of a `cond` are part of its layer.
      inside = list(itertools.takewhile('cond'.__ne__, inside))
      direction = 'backward' if 'transpose' in part else 'forward'
      return '/'.join(inside), operation, direction
  return '', operation, ''


def _is_free(instruction: Instruction) -> bool:
  opcode = instruction.opcode
  if opcode == 'custom-call':
    return bool(_FREE_CALL.search(instruction.attributes))
  return opcode in _FREE or opcode.endswith(('-done', 'async-update'))


def _hbm_bytes_of(
  program: Program, instruction: Instruction, scope: hlo_text.Computation
) -> int:
  """Returns the bytes that one execution moves to or from HBM."""
  opcode, outputs = instruction.opcode, instruction.outputs
  if _is_free(instruction):
    return 0
  if opcode == 'copy-start':  # returns (destination, source, context)
    return _in_hbm(outputs[:2])
  if opcode == 'slice-start':  # returns (source, destination, context)
    return outputs[1].padded_size * (outputs[0].in_hbm + outputs[1].in_hbm)
  inputs = [scope[name].outputs for name in instruction.operands]
  if opcode == 'fusion':
    return _hbm_bytes_of_fusion(program, instruction, inputs)
  if opcode in _SLICES:
    return _in_hbm(outputs) + _slice_in_hbm(outputs, inputs[0])
  if opcode == _UPDATE:  # in place
    return 2 * _slice_in_hbm(inputs[1], outputs)
  return _in_hbm(outputs) + sum(map(_in_hbm, inputs))


def _hbm_bytes_of_fusion(
  program: Program, instruction: Instruction, inputs
) -> int:
  (callee,) = instruction.callees
  inner = program.computations[callee].values()
  (root,) = [i for i in inner if i.is_root]
  total = 0
  for parameter in inner:
    if parameter.opcode != 'parameter':
      continue
    users = [i for i in inner if parameter.name in i.operands]
    first = all(i.operands[0] == parameter.name for i in users)
    if first and {i.opcode for i in users} == {_UPDATE}:
      continue  # updated in place
    if first and {i.opcode for i in users} <= set(_SLICES):
      slices = [array for i in users for array in i.outputs]
      total += _slice_in_hbm(slices, inputs[int(parameter.literal)])
    else:
      total += _in_hbm(inputs[int(parameter.literal)])
  if root.opcode == _UPDATE:
    update = program.computations[callee][root.operands[1]].outputs
    return total + _slice_in_hbm(update, instruction.outputs)
  return total + _in_hbm(instruction.outputs)


def _in_hbm(arrays: tuple[hlo_text.Array, ...]) -> int:
  return sum(array.padded_size for array in arrays if array.in_hbm)


def _slice_in_hbm(slices, whole: tuple[hlo_text.Array, ...]) -> int:
  """Returns the bytes of slices of `whole` if that is in HBM, else 0."""
  return sum(a.padded_size for a in slices) * any(a.in_hbm for a in whole)

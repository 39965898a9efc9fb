"""All targets by name, and mutations of their inputs."""

import numpy as np

from tests.fuzz import files
from tests.fuzz import texts

TARGETS = {**files.TARGETS, **texts.TARGETS}


def mutated(content: bytes, random: np.random.Generator) -> bytes:
  """Returns an input with a few random changes."""
  content = bytearray(content)
  for _ in range(random.integers(1, 4)):
    begin, end = sorted(random.integers(len(content) + 1, size=2))
    end = min(end, begin + 16)
    match random.integers(4):
      case 0:
        del content[begin:end]
      case 1:
        content[begin:begin] = content[begin:end] * 4
      case 2:
        content[begin:end] = random.bytes(end - begin)
      case 3:
        content[begin:end] = (b'\xff' if random.integers(2) else b'\0') * (
          end - begin
        )
  return bytes(content)

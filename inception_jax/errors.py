"""Exceptions that end a command, and the shortening of long messages."""

from typing import Any


def shorten(lines: list[str], max_lines: int = 40) -> list[str]:
  """Returns the first `max_lines` lines, and how many were left out."""
  more = len(lines) - max_lines
  return [*lines[:max_lines], f'and {more} more'] if more > 0 else lines


def one_line(error: Any) -> str:
  """Returns an error's message as one line of at most 200 characters."""
  return ' '.join(str(error).split())[:200] or type(error).__name__


class UserError(Exception):
  """A user's mistake; the command exits with status 2.

  Attributes:
    faults: one line for each thing that is wrong.
  """

  def __init__(self, *faults: str):
    super().__init__('\n'.join(faults))
    self.faults = faults


class RunError(Exception):
  """A failure during a correctly started run, in one line; exit status 1."""

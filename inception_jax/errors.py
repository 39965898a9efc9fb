"""Exceptions that end a command, and how their messages are shortened."""


def shorten(lines: list[str], most: int = 40) -> list[str]:
  """The first of many lines, and how many more there are."""
  more = len(lines) - most
  return [*lines[:most], f'and {more} more'] if more > 0 else lines


class UserError(Exception):
  """A mistake of the user's: every fault, one clear line each; exit 2."""

  def __init__(self, *faults: str):
    super().__init__('\n'.join(faults))
    self.faults = faults


class RunError(Exception):
  """What ended a run that was right to begin with, in one line; exit 1."""

"""Exceptions that end a command, and messages fit to print."""

import re
from typing import Any


def shorten(lines: list[str], max_lines: int = 40) -> list[str]:
  """Returns the first `max_lines` lines, and how many were left out."""
  more = len(lines) - max_lines
  return [*lines[:max_lines], f'and {more} more'] if more > 0 else lines


# They do not print, but belong to words: spaces and joiners of some scripts.
_IN_WORDS = '\xa0\u200c\u200d\u3000'


def printable(text: Any, most: int = 2000) -> str:
  """Returns text as one line that a terminal takes for nothing but text.

  Line breaks, control characters, invisible ones and undecodable bytes become
  escapes, such as \\n. More than `most` characters lose their middle.
  """
  text = str(text)
  if len(text) > most:
    text = f'{text[: most // 2]} … {text[-most // 2 :]}'
  if text.isprintable():
    return text
  return ''.join(
    c
    if c.isprintable() or c in _IN_WORDS
    else c.encode('unicode_escape').decode()
    for c in text
  )


def one_line(error: Any) -> str:
  """Returns an error's message as one line of at most 200 characters.

  Without the names that TensorFlow gives to its operations.
  """
  text = re.sub(r'\{\{.*?\}\}|\[Op:\w+\]( name:)?', '', str(error))
  return ' '.join(text.split())[:200] or type(error).__name__


class UserError(Exception):
  """A user's mistake; the command exits with status 2.

  Attributes:
    faults: one line for each thing that is wrong, `printable`.
  """

  def __init__(self, *faults: str):
    self.faults = tuple(map(printable, faults))
    super().__init__('\n'.join(self.faults))


class RunError(Exception):
  """A failure during a correctly started run, in one line; exit status 1."""

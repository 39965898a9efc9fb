"""Reads `metrics.jsonl`; imports neither JAX nor TensorFlow."""

import json

from etils import epath

NAME = 'metrics.jsonl'


def truncate_partial_line(path: epath.Path) -> None:
  """Removes a partial last line, left by a killed process."""
  text = path.read_text() if path.exists() else ''
  complete = text[: text.rfind('\n') + 1]
  if complete != text:
    path.write_text(complete)


def parse(path: epath.Path) -> dict[tuple[int, str], dict]:
  """Returns the values of each line by (step, split); later lines win."""
  lines = {_step_and_split(line): line for line in _lines(path)}
  return {key: json.loads(line) for key, line in lines.items() if key}


def _lines(path: epath.Path) -> list[str]:
  return path.read_text().splitlines() if path.exists() else []


def read(workdir: str) -> list[dict]:
  """Returns the values of each line, one for each step and split."""
  return list(parse(epath.Path(workdir) / NAME).values())


def bad_lines(workdir: str) -> list[int]:
  """Returns the numbers, from 1, of the invalid lines of metrics.jsonl."""
  lines = _lines(epath.Path(workdir) / NAME)
  return [i for i, line in enumerate(lines, 1) if not _step_and_split(line)]


def _step_and_split(line: str) -> tuple[int, str] | None:
  try:
    values = json.loads(line)
    return values['step'], values['split']
  except (ValueError, KeyError, TypeError):
    return None

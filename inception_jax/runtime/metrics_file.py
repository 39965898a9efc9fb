"""Reads `metrics.jsonl`; needs neither JAX nor TensorFlow."""

import json

from etils import epath

NAME = 'metrics.jsonl'


def truncate_partial_line(path: epath.Path) -> None:
  """Removes a last line that was cut off."""
  text = path.read_text() if path.exists() else ''
  whole = text[: text.rfind('\n') + 1]
  if whole != text:
    path.write_text(whole)


def parse(path: epath.Path) -> dict[tuple[int, str], dict]:
  """The values of each line, by its step and split."""
  found = {_step_and_split(text): text for text in _texts(path)}
  return {key: json.loads(text) for key, text in found.items() if key}


def _texts(path: epath.Path) -> list[str]:
  return path.read_text().splitlines() if path.exists() else []


def read(workdir: str) -> list[dict]:
  """What metrics.jsonl says, of each step and split once."""
  return list(parse(epath.Path(workdir) / NAME).values())


def bad_lines(workdir: str) -> list[int]:
  """The numbers, from 1, of the lines of metrics.jsonl that are none."""
  texts = _texts(epath.Path(workdir) / NAME)
  return [i for i, text in enumerate(texts, 1) if not _step_and_split(text)]


def _step_and_split(line: str) -> tuple[int, str] | None:
  try:
    values = json.loads(line)
    return values['step'], values['split']
  except (ValueError, KeyError, TypeError):
    return None

"""What timm computes, as tests/parity/timm_training.py wrote it."""

import json
import pathlib

_PATH = pathlib.Path(__file__).parents[1] / 'golden' / 'timm_training.json'


def part(name: str):
  """Returns the values of one of its parts."""
  return json.loads(_PATH.read_text())[name]

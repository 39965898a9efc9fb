"""Appends measurements to a CSV file, one line each."""

import csv
import json
import platform
import time

from inception_jax.runtime import hardware


def append(path: str, result: dict) -> None:
  """Appends the result with date and machine; no path ('') writes nothing."""
  if not path:
    return
  line = {
    'date': time.strftime('%Y-%m-%d'),
    'machine': hardware.machine(),
    'python': platform.python_version(),
    **{
      key: json.dumps(value) if isinstance(value, dict | list) else value
      for key, value in result.items()
    },
  }
  with open(path, 'a', newline='') as file:
    writer = csv.DictWriter(file, line)
    if not file.tell():
      writer.writeheader()
    writer.writerow(line)

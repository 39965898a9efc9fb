"""Compares runs in a table, with how sure each score is.

python -m inception_jax.tools.compare RUN…

A RUN is a workdir, whose report/ is read, else its last evaluation; or a
folder that `main.py --mode=eval --output=` wrote. Top-1 and top-5 come with
their 95 % intervals (Wilson); where the predictions are there, with the
calibration error and, on the same images, the difference to the first run in
top-1 with its 95 % interval and the p of McNemar's test. Runs whose configs
differ in the seed alone are summed up by mean and standard deviation.
"""

import csv
import json
import os
from typing import Any

from inception_jax.errors import UserError
from inception_jax.runtime import cli

_COLUMNS = ('run', 'step', 'images', 'top-1 %', 'top-5 %', 'loss')

_PAIRED = ('calibration error', 'top-1 less the first', 'p')


def main(paths: list[str]) -> dict[str, Any]:
  """Prints the table; its values are the result."""
  if not paths:
    raise UserError('name a run, or several')
  faults, runs = [], []
  for path in paths:
    try:
      runs.append(_read(os.path.expanduser(path)))
    except UserError as error:
      faults += error.faults
  if faults:
    raise UserError(*faults)
  first = runs[0].pop('predictions')
  rows = [_row(runs[0], first, None)]
  for run in runs[1:]:
    rows.append(_row(run, run.pop('predictions'), first))
  groups = _groups(runs)
  _print(rows, groups)
  return {'runs': rows, 'groups': groups}


def _read(path: str) -> dict[str, Any]:
  """What there is of a run: its scores, its config, its predictions."""
  from inception_jax.evaluation import predictions
  from inception_jax.runtime import metrics_file

  for folder in (path, os.path.join(path, 'report')):
    if os.path.exists(os.path.join(folder, predictions.SUMMARY)):
      scores = _json(os.path.join(folder, predictions.SUMMARY))['result']
      guesses = _predictions(os.path.join(folder, predictions.IMAGES))
      break
  else:
    evaluations = [x for x in metrics_file.read(path) if x['split'] == 'eval']
    if not evaluations:
      raise UserError(f'{path} has no evaluation')
    scores, guesses = evaluations[-1], None
  config = os.path.join(path, 'config.json')
  return {
    'run': path,
    **{key: scores[key] for key in ('step', 'count', 'top1', 'top5', 'loss')},
    'config': _json(config) if os.path.exists(config) else None,
    'predictions': guesses,
  }


def _json(path: str):
  try:
    with open(path, encoding='utf-8') as file:
      return json.load(file)
  except (OSError, ValueError) as error:
    raise UserError(f'{path} cannot be read: {error}') from error


def _predictions(path: str) -> dict[str, tuple[bool, float]]:
  """Of each image whether it was right, and how sure the network was."""
  try:
    with open(path, newline='', encoding='utf-8') as file:
      return {
        line['image']: (line['top1'] == '1', float(line['probability_1']))
        for line in csv.DictReader(file)
      }
  except (OSError, ValueError, KeyError) as error:
    raise UserError(f'{path} cannot be read: {error}') from error


def _row(run, guesses, first) -> dict[str, Any]:
  import numpy as np

  from inception_jax.report import intervals

  row = {key: run[key] for key in ('run', 'step', 'count', 'loss')}
  for key in ('top1', 'top5'):
    row[key] = run[key]
    row[f'{key}_interval'] = intervals.wilson(run[key], run['count'])
  if guesses:
    right, sure = map(np.array, zip(*guesses.values(), strict=True))
    row['calibration_error'] = intervals.calibration_error(sure, right)
  if guesses and first and guesses.keys() == first.keys():
    before = np.array([first[image][0] for image in guesses])
    row['paired'] = intervals.paired(right, before)._asdict()
  return row


def _groups(runs) -> list[dict[str, Any]]:
  """Runs whose configs are the same but for the seed."""
  from inception_jax.report import intervals

  alike = {}
  for run in runs:
    if run['config']:
      key = json.dumps({**run['config'], 'seed': 0}, sort_keys=True)
      alike.setdefault(key, []).append(run)
  groups = []
  for members in alike.values():
    if len({run['config']['seed'] for run in members}) > 1:
      mean, deviation = intervals.spread([run['top1'] for run in members])
      groups.append(
        {
          'runs': [run['run'] for run in members],
          'top1_mean': mean,
          'top1_standard_deviation': deviation,
        }
      )
  return groups


def _print(rows, groups) -> None:
  lines = [[*_COLUMNS, *_PAIRED]]
  for row in rows:
    between = lambda low, high: f'[{100 * low:.2f}, {100 * high:.2f}]'
    error, paired = row.get('calibration_error'), row.get('paired')
    lines.append(
      [
        row['run'],
        str(row['step']),
        str(row['count']),
        f'{100 * row["top1"]:.2f} {between(*row["top1_interval"])}',
        f'{100 * row["top5"]:.2f} {between(*row["top5_interval"])}',
        f'{row["loss"]:.4f}',
        '' if error is None else f'{error:.4f}',
        ''
        if paired is None
        else f'{100 * paired["difference"]:+.2f} '
        + between(paired['low'], paired['high']),
        '' if paired is None else f'{paired["p"]:.3g}',
      ]
    )
  widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
  for line in lines:
    cells = [x.ljust(width) for x, width in zip(line, widths, strict=True)]
    print('  '.join(cells).rstrip())
  for group in groups:
    print(
      f'{len(group["runs"])} seeds: top-1 {100 * group["top1_mean"]:.2f} ± '
      f'{100 * group["top1_standard_deviation"]:.2f} %: '
      f'{", ".join(group["runs"])}'
    )


if __name__ == '__main__':
  cli.run(main, takes_paths=True)

"""Compares runs in a table, with confidence intervals.

python -m inception_jax.tools.compare RUN…

A RUN is a workdir, read from its report/ or else from the last evaluation in
its metrics.jsonl, or a folder that `main.py --mode=eval --output=` wrote. Top-1
and top-5 have 95 % Wilson intervals. If a run has predictions, the table adds
its calibration error and, if the first run has predictions of the same images,
the top-1 difference to it with a 95 % interval and the p-value of McNemar's
test. Runs whose configs differ only in the seed are summarised by the mean and
standard deviation of top-1.
"""

import csv
import json
import os
from typing import Any

from inception_jax.errors import UserError
from inception_jax.runtime import cli

_COLUMNS = ('run', 'step', 'images', 'top-1 %', 'top-5 %', 'loss')
_PAIRED = ('calibration error', 'top-1 minus first', 'p')


def main(paths: list[str]) -> dict[str, Any]:
  """Prints the table and returns its values."""
  if not paths:
    raise UserError('expected one or more runs, for example runs/digits')
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
  """Reads a run's scores and, if present, its config and predictions."""
  from inception_jax.evaluation import predictions
  from inception_jax.runtime import metrics_file

  for folder in (path, os.path.join(path, 'report')):
    if os.path.exists(os.path.join(folder, predictions.SUMMARY)):
      scores = _json(os.path.join(folder, predictions.SUMMARY))['result']
      images = _predictions(os.path.join(folder, predictions.IMAGES))
      break
  else:
    evaluations = [x for x in metrics_file.read(path) if x['split'] == 'eval']
    if not evaluations:
      raise UserError(f'{path} has no evaluation to compare')
    scores, images = evaluations[-1], None
  config = os.path.join(path, 'config.json')
  return {
    'run': path,
    **{key: scores[key] for key in ('step', 'count', 'top1', 'top5', 'loss')},
    'config': _json(config) if os.path.exists(config) else None,
    'predictions': images,
  }


def _json(path: str):
  try:
    with open(path, encoding='utf-8') as file:
      return json.load(file)
  except (OSError, ValueError) as error:
    raise UserError(f'{path} cannot be read: {error}') from error


def _predictions(path: str) -> dict[str, tuple[bool, float]]:
  """Returns {image: (top-1 is correct, top-1 probability)}."""
  try:
    with open(path, newline='', encoding='utf-8') as file:
      return {
        line['image']: (line['top1'] == '1', float(line['probability_1']))
        for line in csv.DictReader(file)
      }
  except (OSError, ValueError, KeyError) as error:
    raise UserError(f'{path} cannot be read: {error}') from error


def _row(run, images, first) -> dict[str, Any]:
  import numpy as np

  from inception_jax.report import intervals

  row = {key: run[key] for key in ('run', 'step', 'count', 'loss')}
  for key in ('top1', 'top5'):
    row[key] = run[key]
    row[f'{key}_interval'] = intervals.wilson(run[key], run['count'])
  if images:
    correct, confidence = map(np.array, zip(*images.values(), strict=True))
    error = intervals.calibration_error(confidence, correct)
    row['calibration_error'] = error
  if images and first and images.keys() == first.keys():
    baseline = np.array([first[image][0] for image in images])
    row['paired'] = intervals.paired(correct, baseline)._asdict()
  return row


def _groups(runs) -> list[dict[str, Any]]:
  """Summarises runs whose configs differ only in the seed."""
  from inception_jax.report import intervals

  by_config = {}
  for run in runs:
    if run['config']:
      key = json.dumps({**run['config'], 'seed': 0}, sort_keys=True)
      by_config.setdefault(key, []).append(run)
  groups = []
  for members in by_config.values():
    if len({run['config']['seed'] for run in members}) > 1:
      top1 = [run['top1'] for run in members]
      mean, deviation = intervals.mean_and_deviation(top1)
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
    interval = lambda low, high: f'[{100 * low:.2f}, {100 * high:.2f}]'
    error, paired = row.get('calibration_error'), row.get('paired')
    lines.append(
      [
        row['run'],
        str(row['step']),
        str(row['count']),
        f'{100 * row["top1"]:.2f} {interval(*row["top1_interval"])}',
        f'{100 * row["top5"]:.2f} {interval(*row["top5_interval"])}',
        f'{row["loss"]:.4f}',
        '' if error is None else f'{error:.4f}',
        ''
        if paired is None
        else f'{100 * paired["difference"]:+.2f} '
        + interval(paired['low'], paired['high']),
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

"""Scores of several runs, with intervals and tests; see tools/compare.py."""

import csv
import io
import json
import math
import os
from typing import Any

import numpy as np

from inception_jax import inputs
from inception_jax.errors import UserError
from inception_jax.errors import printable
from inception_jax.evaluation import predictions
from inception_jax.report import intervals
from inception_jax.runtime import files
from inception_jax.runtime import metrics_file

_SCORES = ('step', 'count', 'top1', 'top5', 'loss')
_COLUMNS = ('run', 'step', 'images', 'top-1 %', 'top-5 %', 'loss')
_PAIRED = ('calibration error', 'top-1 minus first', 'p')


def compare(paths: list[str]) -> dict[str, Any]:
  """Prints a table of runs and returns its values.

  Raises:
    UserError: none is given, or some cannot be read; a line for each.
  """
  if not paths:
    raise UserError('expected one or more runs, for example runs/digits')
  faults, runs = [], []
  for path in paths:
    try:
      runs.append(_read(path))
    except UserError as error:
      faults += error.faults
  if faults:
    raise UserError(*faults)
  first = runs[0]['predictions']
  rows = [_row(runs[0], None), *(_row(run, first) for run in runs[1:])]
  groups = _groups(runs)
  _print(rows, groups)
  return {'runs': rows, 'groups': groups}


def _read(path: str) -> dict[str, Any]:
  """Reads a run's scores and, if present, its config and predictions."""
  for folder in (path, os.path.join(path, 'report')):
    summary = os.path.join(folder, predictions.SUMMARY)
    if os.path.exists(summary):
      scores = _parse(summary, lambda file: _scores(_json(file)['result']))
      images = _parse(os.path.join(folder, predictions.IMAGES), _read_images)
      break
  else:
    evaluations = [x for x in metrics_file.read(path) if x['split'] == 'eval']
    if not evaluations:
      raise UserError(f'{path} has no evaluation to compare')
    where = os.path.join(path, metrics_file.NAME)
    scores = _parse(where, lambda _, last=evaluations[-1]: _scores(last))
    images = None
  config = os.path.join(path, 'config.json')
  return {
    'run': path,
    **scores,
    'config': _parse(config, _read_config) if os.path.exists(config) else None,
    'predictions': images,
  }


def _parse(path: str, parse):
  try:
    return parse(io.StringIO(files.read(path).decode(), newline=''))
  except (OSError, ValueError, TypeError, LookupError, csv.Error) as error:
    raise UserError(f'{path} cannot be read: {error}') from error


def _json(file) -> dict[str, Any]:
  values = inputs.parse_json(file.read())
  if not isinstance(values, dict):
    raise ValueError('it is no JSON object')
  return values


def _scores(values: dict[str, Any]) -> dict[str, float]:
  scores = {key: values[key] for key in _SCORES}
  step, count, *others = scores.values()
  if scores['loss'] is None:  # JSON has no NaN
    scores['loss'] = math.nan
    others.pop()
  if (
    not type(step) is type(count) is int
    or {*map(type, others)} - {int, float}
    or not 1 <= count < 2**53
    or not all(map(math.isfinite, others))
    or not all(0 <= scores[key] <= 1 for key in ('top1', 'top5'))
  ):
    raise ValueError(f'these are not the scores of an evaluation: {scores}')
  return scores


def _read_config(file) -> dict[str, Any]:
  config = _json(file)
  if type(config.get('seed')) is not int:
    raise ValueError('it has no seed')
  return config


def _read_images(file) -> dict[str, tuple[bool, float]]:
  """Returns {image: (top-1 is correct, top-1 probability)}."""
  images = {
    line['image']: (line['top1'] == '1', float(line['probability_1']))
    for line in csv.DictReader(file)
  }
  if not all(0 <= probability <= 1 for _, probability in images.values()):
    raise ValueError('a probability is not between 0 and 1')
  return images


def _row(run, first) -> dict[str, Any]:
  row = {key: run[key] for key in ('run', 'step', 'count', 'loss')}
  for key in ('top1', 'top5'):
    row[key] = run[key]
    row[f'{key}_interval'] = intervals.wilson(run[key], run['count'])
  if images := run['predictions']:
    correct, confidence = map(np.array, zip(*images.values(), strict=True))
    error = intervals.calibration_error(confidence, correct)
    row['calibration_error'] = error
    if first and images.keys() == first.keys():
      baseline = np.array([first[image][0] for image in images])
      row['paired'] = intervals.paired(correct, baseline)._asdict()
  return row


def _groups(runs) -> list[dict[str, Any]]:
  """Summarizes runs whose configs differ only in the seed."""
  by_config = {}
  for run in runs:
    if run['config']:
      key = json.dumps({**run['config'], 'seed': 0}, sort_keys=True)
      by_config.setdefault(key, []).append(run)
  groups = []
  for members in by_config.values():
    if len({str(run['config'].get('seed')) for run in members}) > 1:
      top1 = [run['top1'] for run in members]
      groups.append(
        {
          'runs': [run['run'] for run in members],
          'top1_mean': float(np.mean(top1)),
          'top1_standard_deviation': float(np.std(top1, ddof=1)),
        }
      )
  return groups


def _print(rows, groups) -> None:
  interval = lambda low, high: f'[{100 * low:.2f}, {100 * high:.2f}]'
  lines = [[*_COLUMNS, *_PAIRED]]
  for row in rows:
    line = [printable(row['run']), str(row['step']), str(row['count'])]
    for key in ('top1', 'top5'):
      line.append(f'{100 * row[key]:.2f} {interval(*row[f"{key}_interval"])}')
    line += [f'{row["loss"]:.4f}', '', '', '']
    if 'calibration_error' in row:
      line[-3] = f'{row["calibration_error"]:.4f}'
    if 'paired' in row:
      difference, low, high, p = row['paired'].values()
      line[-2:] = f'{100 * difference:+.2f} {interval(low, high)}', f'{p:.3g}'
    lines.append(line)
  widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
  for line in lines:
    cells = [x.ljust(width) for x, width in zip(line, widths, strict=True)]
    print('  '.join(cells).rstrip())
  for group in groups:
    print(
      f'{len(group["runs"])} seeds: top-1 {100 * group["top1_mean"]:.2f} ± '
      f'{100 * group["top1_standard_deviation"]:.2f} %: '
      f'{", ".join(map(printable, group["runs"]))}'
    )

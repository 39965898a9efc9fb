"""Reports on runs: curves, confusion matrix, classes and worst mistakes.

python -m inception_jax.tools.report --workdir=runs/digits

Writes WORKDIR/report/: index.html, which is self-contained, its figures as PNG,
predictions.csv and evaluation.json. Several --workdir flags write one report
that compares these runs into the folder --output.
"""

import os
import time

from absl import flags
from etils import epath

from inception_jax.checkpointing import lookup
from inception_jax.config import defaults
from inception_jax.config import serialization
from inception_jax.distributed import sharding
from inception_jax.errors import UserError
from inception_jax.evaluation import evaluate
from inception_jax.evaluation import predictions
from inception_jax.report import figures
from inception_jax.report import intervals
from inception_jax.report import mistakes
from inception_jax.report import page
from inception_jax.runtime import cli
from inception_jax.runtime import files
from inception_jax.runtime import hardware
from inception_jax.runtime import metrics_file
from inception_jax.training import preflight

_WORKDIR = cli.define_paths('workdir', 'The folder of a run; may be repeated.')
_OUTPUT = cli.define_path(
  'output', 'The folder to write; default: WORKDIR/report of a single run.'
)
_CHECKPOINT = flags.DEFINE_string(
  'checkpoint', 'latest', 'latest, best or a step; the same for each run.'
)
_WEIGHTS = flags.DEFINE_enum(
  'weights', 'ema', ['ema', 'raw'], 'Moving average, if any, or raw weights.'
)
_EVALUATE = flags.DEFINE_bool(
  'evaluate', True, 'Evaluate each run; else report curves and scores alone.'
)
_MISTAKES = flags.DEFINE_integer(
  'mistakes', 24, 'The most mistakes to show.', lower_bound=0
)
# Pictures narrower than this are enlarged without smoothing.
_PIXELATED_BELOW = 100


def main():
  """Evaluates each run and writes the report."""
  workdirs, output = _WORKDIR.value, _OUTPUT.value
  faults = [
    f'no checkpoint in {lookup.checkpoint_folder(workdir)}'
    for workdir in workdirs
    if not lookup.has_checkpoints(workdir)
  ]
  if not workdirs:
    faults.append('--workdir is missing: name the folder of a run')
  if len(workdirs) > 1 and not output:
    faults.append('--output is missing: name the folder for several runs')
  output = output or os.path.join((workdirs or ['.'])[0], 'report')
  if not faults and '://' not in output:
    if fault := files.cannot_write(output):
      faults.append(f'{output} cannot be written: {fault}')
  if faults:
    raise UserError(*faults)

  cli.use_compilation_cache()
  if not _EVALUATE.value:
    cli.use_cpu()
  mesh = sharding.make_mesh()
  names = _names(workdirs)
  several = len(workdirs) > 1
  runs, metrics, saved = [], [], {}
  for name, workdir in zip(names, workdirs, strict=True):
    folder = os.path.join(output, name) if several else output
    runs.append(_run(name, workdir, folder, mesh))
    metrics.append((name, metrics_file.read(workdir)))
    if runs[-1].confusion:
      saved[f'{name}-confusion' if several else 'confusion'] = runs[
        -1
      ].confusion
  curves = figures.curves(metrics)
  saved = {figure.name: figure for figure in curves} | saved
  title, date = ', '.join(names), time.strftime('%Y-%m-%d %H:%M')
  text = page.render(title, date, hardware.machine(), runs, curves)
  folder = epath.Path(output)
  folder.mkdir(parents=True, exist_ok=True)
  for name, figure in saved.items():
    (folder / f'{name}.png').write_bytes(figure.png)
  files.atomic_write(folder / 'index.html', text)
  return {
    'page': str(folder / 'index.html'),
    'figures': [f'{name}.png' for name in saved],
    'runs': {run.name: run.scores for run in runs},
  }


def _names(workdirs: list[str]) -> list[str]:
  """Returns the last part of each path, or more parts until they differ."""
  parts = [os.path.abspath(workdir).split(os.sep) for workdir in workdirs]
  for number in range(1, max(map(len, parts)) + 1):
    names = ['-'.join(part[-number:]) for part in parts]
    if len(set(names)) == len(names):
      return names
  raise UserError('--workdir names the same run twice')


def _run(name: str, workdir: str, folder: str, mesh) -> page.Run:
  """Collects what the report shows of a run; evaluates it if asked to."""
  path = epath.Path(workdir) / 'config.json'
  try:
    text = files.read_run(path).decode()
    config = serialization.from_json(text, defaults.get_config())
  except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
    raise UserError(f'{path} cannot be read: {error}') from error
  history, steps = lookup.find(workdir, _CHECKPOINT.value)
  run = page.Run(
    name=name,
    network=config.model.name,
    source=config.data.source,
    split=config.data.eval_split,
    config=list(serialization.flatten(config)),
  )
  if _EVALUATE.value:
    _evaluate(run, config, workdir, folder, mesh)
  record = history.record(run.scores.get('step', steps[0]))
  run.versions = record['versions']
  if record['metrics'] and not run.scores:
    run.scores = {'step': record['step'], **record['metrics']}
  if run.scores:
    run.interval = intervals.wilson(run.scores['top1'], run.scores['count'])
  return run


def _evaluate(run, config, workdir: str, folder: str, mesh) -> None:
  """Evaluates a run; writes the predictions to `folder`."""
  preflight.check(config, workdir, train=False)
  options = evaluate.Options(
    (_CHECKPOINT.value,), _WEIGHTS.value == 'ema', output=folder
  )
  evaluated = evaluate.evaluate(config, workdir, mesh, options)
  run.scores, columns = evaluated.result, evaluated.columns
  counts, names = mistakes.confusion(columns, evaluated.names)
  run.confusion = figures.confusion(counts, names)
  run.confused_pairs = mistakes.confused_pairs(counts, names)
  run.classes = predictions.by_class(columns, evaluated.names)
  run.mistakes = mistakes.worst(
    columns, evaluated.split, config, evaluated.names, _MISTAKES.value
  )
  run.pixelated = config.data.image_size < _PIXELATED_BELOW


if __name__ == '__main__':
  cli.run(main)

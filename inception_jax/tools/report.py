"""Shows how runs went: curves, confusion, classes, worst mistakes, one page.

python -m inception_jax.tools.report --workdir=runs/digits

Writes WORKDIR/report/: index.html, which needs nothing else and no network,
its figures as PNG, predictions.csv and evaluation.json. With --workdir twice
or more it compares these runs, in the folder that --output names.
"""

import os
import time

from absl import flags

from inception_jax.errors import UserError
from inception_jax.runtime import cli

_WORKDIR = flags.DEFINE_multi_string('workdir', [], 'A run; may be repeated.')

_OUTPUT = flags.DEFINE_string(
  'output', '', 'The folder; of a single run its own report/.'
)

_CHECKPOINT = flags.DEFINE_string(
  'checkpoint', 'latest', 'latest, best or a step of each run.'
)

_WEIGHTS = flags.DEFINE_enum(
  'weights', 'ema', ['ema', 'raw'], 'The moving average, if any, or the raw.'
)

_EVALUATE = flags.DEFINE_bool(
  'evaluate', True, 'Looks at every image; without, curves are all there is.'
)

_MISTAKES = flags.DEFINE_integer(
  'mistakes', 24, 'Pictures of the worst.', lower_bound=0
)

# Pictures of fewer pixels are shown with them.
_SMALL = 100


def main():
  """Evaluates each run, then draws."""
  workdirs = [os.path.expanduser(path) for path in _WORKDIR.value]
  output = os.path.expanduser(_OUTPUT.value)

  from inception_jax.checkpointing import lookup
  from inception_jax.runtime import files

  faults = [
    f'no checkpoint in {lookup.checkpoint_folder(workdir)}'
    for workdir in workdirs
    if not lookup.has_checkpoints(workdir)
  ]
  if not workdirs:
    faults.append('--workdir is missing: the folder of the run to report on')
  if len(workdirs) > 1 and not output:
    faults.append('--output is missing: the folder for a report on several')
  output = output or os.path.join((workdirs or ['.'])[0], 'report')
  if not faults and '://' not in output:
    if fault := files.cannot_write(output):
      faults.append(f'{output} cannot be written: {fault}')
  if faults:
    raise UserError(*faults)

  from etils import epath

  from inception_jax.distributed import sharding
  from inception_jax.report import figures
  from inception_jax.report import page
  from inception_jax.runtime import files
  from inception_jax.runtime import hardware
  from inception_jax.runtime import metrics_file

  cli.use_compilation_cache()
  mesh = sharding.make_mesh()
  names = _names(workdirs)
  runs = []
  for name, workdir in zip(names, workdirs, strict=True):
    folder = os.path.join(output, name) if len(workdirs) > 1 else output
    runs.append(_run(name, workdir, folder, mesh))
  metrics = [metrics_file.read(workdir) for workdir in workdirs]
  curves = figures.curves(list(zip(names, metrics, strict=True)))
  title = ', '.join(names)
  date, machine = time.strftime('%Y-%m-%d %H:%M'), hardware.machine()
  text = page.render(title, date, machine, runs, curves)
  folder = epath.Path(output)
  folder.mkdir(parents=True, exist_ok=True)
  drawn = {figure.name: figure for figure in curves}
  for run in runs:
    if run.confusion:
      own = f'{run.name}-' * (len(runs) > 1)
      drawn[f'{own}confusion'] = run.confusion
  for name, figure in drawn.items():
    (folder / f'{name}.png').write_bytes(figure.png)
  files.replace_text(folder / 'index.html', text)
  return {
    'page': str(folder / 'index.html'),
    'figures': [f'{name}.png' for name in drawn],
    'runs': {run.name: run.scores for run in runs},
  }


def _names(workdirs: list[str]) -> list[str]:
  """The last part of each path, or as many as tell them apart."""
  parts = [os.path.abspath(workdir).split(os.sep) for workdir in workdirs]
  for number in range(1, max(map(len, parts)) + 1):
    names = ['-'.join(part[-number:]) for part in parts]
    if len(set(names)) == len(names):
      return names
  raise UserError('--workdir names a run twice')


def _run(name: str, workdir: str, folder: str, mesh):
  """What there is to say of a run; evaluates it."""
  from inception_jax.checkpointing import lookup
  from inception_jax.config import serialization
  from inception_jax.report import intervals
  from inception_jax.report import page

  config = _config(workdir)
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


def _config(workdir: str):
  """Of a run, as it was resolved."""
  from etils import epath

  from configs import default
  from inception_jax.config import serialization

  path = epath.Path(workdir) / 'config.json'
  try:
    return serialization.from_json(path.read_text(), default.get_config())
  except (OSError, ValueError, TypeError, AttributeError) as error:
    raise UserError(f'{path} cannot be read: {error}') from error


def _evaluate(run, config, workdir: str, folder: str, mesh) -> None:
  """Looks at every image, and keeps what was said of it in `folder`."""
  from inception_jax.evaluation import evaluate
  from inception_jax.evaluation import predictions
  from inception_jax.report import figures
  from inception_jax.report import mistakes
  from inception_jax.training import preflight

  preflight.check(config, workdir, train=False)
  options = evaluate.Options(
    (_CHECKPOINT.value,), _WEIGHTS.value == 'ema', output=folder
  )
  found = evaluate.evaluate(config, workdir, mesh, options)
  run.scores, columns = found.result, found.columns
  counts, names = mistakes.confusion(columns, found.names)
  run.confusion = figures.confusion(counts, names)
  run.pairs = mistakes.pairs(counts, names)
  run.classes = predictions.by_class(columns, found.names)
  run.mistakes = mistakes.worst(
    columns, found.split, config, found.names, _MISTAKES.value
  )
  run.small = config.data.image_size < _SMALL


if __name__ == '__main__':
  cli.run(main)

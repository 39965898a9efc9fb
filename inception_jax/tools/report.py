"""Reports on runs: curves, confusion matrix, classes and worst mistakes.

python -m inception_jax.tools.report runs/digits

Writes WORKDIR/report/: index.html, which is self-contained, its figures as PNG,
predictions.csv and evaluation.json. Several runs, as words or as --workdir
flags, get one report that compares them in the folder --output. --serve writes
nothing: it shows the curves at http://127.0.0.1:8011/ and follows the runs.

  --language=zh                 # a page in Chinese
  --price_per_hour='1.20 USD'   # of one device: what the runs have cost
"""

import logging
import os
import time
from typing import Any

from absl import flags
from etils import epath

from inception_jax import extras
from inception_jax.checkpointing import lookup
from inception_jax.config import defaults
from inception_jax.config import serialization
from inception_jax.data.sources import registry
from inception_jax.distributed import sharding
from inception_jax.errors import UserError
from inception_jax.evaluation import evaluate
from inception_jax.models import factory
from inception_jax.report import cost
from inception_jax.report import curves
from inception_jax.report import evaluated
from inception_jax.report import figures
from inception_jax.report import first_batch
from inception_jax.report import language
from inception_jax.report import page
from inception_jax.report import serve
from inception_jax.runtime import cli
from inception_jax.runtime import files
from inception_jax.runtime import hardware
from inception_jax.runtime import metrics_file
from inception_jax.runtime import progress_bar
from inception_jax.training import goodput
from inception_jax.training import preflight
from inception_jax.training import preview

log = logging.getLogger(__name__)

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
_SERVE = flags.DEFINE_bool(
  'serve', False, 'Show the page here, and follow the runs as they go.'
)
_LANGUAGE = flags.DEFINE_enum(
  'language', 'en', language.LANGUAGES, 'Language of the page.'
)
_LOSS_AXIS = flags.DEFINE_enum(
  'loss_axis',
  'auto',
  curves.LOSS_AXES,
  'Scale of the losses; auto: logarithmic if they differ much.',
)
_PRICE = flags.DEFINE_string(
  'price_per_hour',
  '',
  "What one device costs an hour, with the currency: '1.20 USD'.",
)
_PORT = flags.DEFINE_integer(
  'port', 8011, 'With --serve: the port; 0: any free one.', 0, 65535
)
_FIRST_IMAGES = 12
_DATE = '%Y-%m-%d %H:%M:%S'


def main(words: list[str]):
  """Evaluates each run and writes the report, or serves it."""
  workdirs, output = cli.paths_of(_WORKDIR, words), _OUTPUT.value
  faults = extras.missing('jinja2', 'matplotlib') + cost.faults(_PRICE.value)
  if faults := faults + _faults(workdirs, output):
    raise UserError(*faults)
  if _SERVE.value or not _EVALUATE.value:
    cli.use_cpu()
  if _SERVE.value:
    paths = [os.path.join(x, metrics_file.NAME) for x in workdirs]
    serve.serve(
      lambda version: _follow(workdirs, version),
      lambda: serve.state_of(paths),
      _PORT.value,
    )
    return None

  cli.use_compilation_cache()
  mesh = sharding.make_mesh()
  output = output or os.path.join(workdirs[0], 'report')
  several = len(workdirs) > 1
  runs, metrics, saved = [], [], {}
  for name, workdir in page.named(workdirs):
    folder = os.path.join(output, name) if several else output
    runs.append(_run(name, workdir, folder, mesh))
    metrics.append((name, metrics_file.read(workdir)))
    prefix = f'{name}-' if several else ''
    saved |= {f'{prefix}{x.name}': x for x in runs[-1].confusion}
  text, drawn = _page(runs, metrics)
  figures.warn_of_fonts(_LANGUAGE.value)
  saved = {figure.name: figure for figure in drawn} | saved
  return {
    'page': page.write(output, text, saved),
    'figures': [f'{name}.png' for name in saved],
    'runs': {run.name: run.scores for run in runs},
  }


def _faults(workdirs: list[str], output: str) -> list[str]:
  """Returns what is wrong with the flags."""
  if not workdirs:
    return ['expected one or more runs, for example runs/digits']
  if _SERVE.value:
    # The run may not have saved yet.
    return [
      f'{workdir} has no config.json: name the folder of a run'
      for workdir in workdirs
      if not (epath.Path(workdir) / 'config.json').exists()
    ]
  faults = [
    f'no checkpoint in {lookup.checkpoint_folder(workdir)}'
    for workdir in workdirs
    if not lookup.has_checkpoints(workdir)
  ]
  if len(workdirs) > 1 and not output:
    faults.append('--output is missing: name the folder for several runs')
  output = output or os.path.join(workdirs[0], 'report')
  if not faults and (fault := files.cannot_write(output)):
    faults.append(f'{output} cannot be written: {fault}')
  return faults


def _follow(workdirs: list[str], version: str) -> str:
  """Returns the page about runs as they go, from what they have written."""
  runs, metrics = [], []
  for name, workdir in page.named(workdirs):
    run, _ = _described(name, workdir)
    metrics.append((name, metrics_file.read(workdir)))
    lines = metrics[-1][1]
    evaluations = [x for x in lines if x['split'] == metrics_file.EVAL]
    if evaluations:
      run.set_scores(evaluations[-1])
    if lookup.has_checkpoints(workdir):
      history, steps = lookup.find(workdir, 'latest')
      _set_record(run, history.record(steps[0]))
    runs.append(run)
  return _page(runs, metrics, version)[0]


def _page(runs, metrics, version='') -> tuple[str, list[figures.Figure]]:
  """Returns the page, in the language asked for, and its curves."""
  translate = language.Translate(_LANGUAGE.value)
  drawn = curves.curves(metrics, translate, _LOSS_AXIS.value)
  text = page.render(
    *(time.strftime(_DATE), hardware.machine(), runs, drawn),
    *(translate, cost.parse(_PRICE.value), version),
  )
  return text, drawn


def _described(name: str, workdir: str) -> tuple[page.Run, Any]:
  """Returns what is known of a run before its checkpoints, and its config."""
  path = epath.Path(workdir) / 'config.json'
  try:
    text = files.read(str(path)).decode()
    config = serialization.from_json(text, defaults.get_config())
  except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
    raise UserError(f'{path} cannot be read: {error}') from error
  metrics = metrics_file.read(workdir)
  seconds = curves.training_seconds(metrics, config.batch_size)
  run = page.Run(
    name=name,
    recipe=config.recipe,
    network=config.model.name,
    source=config.data.source,
    split=config.data.eval_split,
    config=list(serialization.flatten(config)),
    duration=progress_bar.format_duration(seconds) if seconds else '',
  )
  return run, config


def _run(name: str, workdir: str, folder: str, mesh) -> page.Run:
  """Collects what the report shows of a run; evaluates it if asked to."""
  run, config = _described(name, workdir)
  history, steps = lookup.find(workdir, _CHECKPOINT.value)
  if _EVALUATE.value:
    _evaluate(run, config, workdir, folder, mesh)
  record = history.record(run.scores.get('step', steps[0]))
  _set_record(run, record)
  if record['metrics'] and not run.scores:
    run.set_scores({'step': record['step'], **record['metrics']})
  return run


def _set_record(run: page.Run, record: dict[str, Any]) -> None:
  run.versions, run.saved_step = record['versions'], record['step']
  run.seconds = goodput.by_kind(record.get('seconds'))


def _evaluate(run, config, workdir: str, folder: str, mesh) -> None:
  """Evaluates a run; writes the predictions to `folder`."""
  preflight.check(config, workdir, train=False)
  options = evaluate.Options(
    (_CHECKPOINT.value,), _WEIGHTS.value == 'ema', output=folder
  )
  evaluation = evaluate.evaluate(config, workdir, mesh, options)
  translate = language.Translate(_LANGUAGE.value)
  evaluated.add(run, evaluation, config, _MISTAKES.value, translate)
  run.first_batch = _first_batch(config)


def _first_batch(config) -> list[dict[str, Any]]:
  """Returns images that the training began with; [] if it reads none."""
  if config.fine_tune.cache_features:
    return []
  try:
    split = registry.load(config, config.data.train_split)
    classes = factory.num_classes(config, split.class_names)
    images, targets = preview.first_images(
      config, split, classes, _FIRST_IMAGES
    )
  except UserError as error:  # the evaluation has not needed them
    log.warning('images of the training are not shown: %s', error.faults[0])
    return []
  return first_batch.described(images, targets, split.class_names)


if __name__ == '__main__':
  cli.run(main, takes_paths=True)

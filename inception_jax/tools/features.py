"""Computes features of images, one row each, as a .npz or .parquet file.

python -m inception_jax.tools.features --checkpoint=v4.safetensors photos/ \
    --output=photos.npz
python -m inception_jax.tools.features --workdir=runs/mine --knn=5 \
    --config=configs/fine_tune_folder.py --config.data.dir=IMAGES \
    --split=train --held_out=val --output=train.parquet

The network is that of a run (--workdir=), or of a checkpoint or another
framework's weight file (--checkpoint=PATH), also without a classifier. The
images are files and folders, or a split of a recipe's dataset. The class of an
image is the folder below the given one in which it lies.

--end_point= is `pooled`, the input of the classifier, `logits`, or a stage,
whose grid is averaged. --knn= and --linear_probe measure how well the features
separate the classes. Images that cannot be decoded have no row and are reported
in `failed`; of files and folders, the exit status then is 1.
"""

import dataclasses
import os
from typing import Any

from absl import flags
from ml_collections import config_flags

from inception_jax.checkpointing import lookup
from inception_jax.errors import UserError
from inception_jax.runtime import cli
from inception_jax.runtime import device_flags
from inception_jax.runtime import files

flags.adopt_module_key_flags(device_flags)
_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'Recipe whose dataset has the --split.'
)
_SPLIT = flags.DEFINE_string('split', '', 'Split of the dataset of --config.')
_WORKDIR = cli.define_path('workdir', 'Folder of the run.')
_CHECKPOINT = flags.DEFINE_string(
  'checkpoint', 'latest', 'latest, best, a step, or the path of weights.'
)
_WEIGHTS = flags.DEFINE_enum(
  'weights', 'ema', ['ema', 'raw'], 'Moving average, if any, or raw weights.'
)
_END_POINT = flags.DEFINE_string(
  'end_point', 'pooled', 'pooled, logits, or the name of a stage.'
)
_OUTPUT = cli.define_path('output', 'The .npz or .parquet file to create.')
_BATCH = flags.DEFINE_integer(
  'batch_size', 32, 'Images in a batch, over all devices.', lower_bound=1
)
_KNN = flags.DEFINE_integer(
  'knn', 0, 'Accuracy of this many nearest neighbours; 0: none.', lower_bound=0
)
_PROBE = flags.DEFINE_bool(
  'linear_probe', False, 'Accuracy of a logistic regression.'
)
_HELD_OUT = cli.define_path(
  'held_out',
  'Split, or without --split folder, on which --knn and --linear_probe are '
  'measured; none: the others, or folds, of the same images.',
)


def main(paths: list[str]) -> dict[str, Any]:
  """Computes the features, writes them, and measures them."""
  if faults := _faults(paths):
    raise UserError(*faults)
  # Imported late: these take seconds, and mistakes should be reported at once.
  from inception_jax.checkpointing import digests
  from inception_jax.distributed import sharding
  from inception_jax.evaluation import features
  from inception_jax.models import card
  from inception_jax.models import factory
  from inception_jax.weights import pretrained

  devices = device_flags.choose()
  if faults := _faults_of_data():
    raise UserError(*faults)
  mesh = sharding.make_mesh(devices)
  ema = _WEIGHTS.value == 'ema'
  step, weights = pretrained.restore(
    _WORKDIR.value, _CHECKPOINT.value, mesh, ema, headless=True
  )
  config = pretrained.adopt_network(_config(weights.card), weights)
  model = factory.build(config, weights.network.num_classes)
  if (end_point := _END_POINT.value) not in features.end_points(model):
    known = ', '.join(features.end_points(model))
    raise UserError(f'--end_point={end_point}: expected one of {known}')
  named = [paths, [_HELD_OUT.value] if _HELD_OUT.value else []]
  opened = _open(config, *named)
  cli.use_compilation_cache()
  extracted = [
    features.extract(config, model, weights.variables, split, mesh, end_point)
    for split, _ in opened
  ]
  (known, *_), (split, is_labelled) = extracted, opened[0]
  metadata = {
    'origin': weights.origin,
    'step': step,
    'network': dataclasses.asdict(weights.network),
    'weights_sha256': digests.of_tree(weights.variables),
    'end_point': end_point,
    'card': dataclasses.asdict(card.from_config(config.data)),
    'protocol': config.data.eval_protocol,
    'precision': config.precision,
  }
  classes = split.class_names if is_labelled else ()
  features.write(_OUTPUT.value, known, classes, metadata)
  return {
    'images': len(known.values),
    'dimension': known.values.shape[1],
    'failed': {k: v for own in extracted for k, v in own.failed.items()},
    'weights_sha256': metadata['weights_sha256'],
    'output': _OUTPUT.value,
    **_measure(*extracted),
  }


def _faults(paths: list[str]) -> list[str]:
  faults = []
  has_path = lookup.is_path(_CHECKPOINT.value)
  if bool(_WORKDIR.value) == has_path:
    faults.append('give one of --workdir= and --checkpoint=PATH')
  if bool(paths) == bool(_SPLIT.value):
    faults.append('name images or folders, or a --split= of a --config=')
  elif _SPLIT.value and _CONFIG.value is None:
    faults.append('--config is missing: the recipe whose dataset has the split')
  elif paths and _CONFIG.value is not None:
    faults.append('--config is for a --split=, not for files and folders')
  output = _OUTPUT.value
  if not output.endswith(('.npz', '.parquet')):
    faults.append(f'--output={output}: expected a name in .npz or .parquet')
  elif os.path.lexists(output):
    faults.append(f'--output={output} already exists')
  elif fault := files.cannot_write(os.path.dirname(os.path.abspath(output))):
    faults.append(f'--output={output} cannot be written: {fault}')
  if _HELD_OUT.value and not (_KNN.value or _PROBE.value):
    faults.append('--held_out is for --knn= and --linear_probe')
  named = [*paths, *([_HELD_OUT.value] if paths and _HELD_OUT.value else [])]
  faults += [f'{p}: no such file' for p in named if not os.path.exists(p)]
  return faults


def _faults_of_data() -> list[str]:
  """Returns the faults of the recipe, before the weights are known."""
  if not _SPLIT.value:
    return []
  from inception_jax.models import factory
  from inception_jax.training import preflight

  config = factory.resolve(_CONFIG.value)
  config.data.train_split = _SPLIT.value
  config.data.eval_split = _HELD_OUT.value or _SPLIT.value
  return preflight.of_config(config, open_name=True)


def _config(card):
  """Returns the recipe, or the defaults for images that belong to none."""
  from inception_jax.config import defaults

  if _SPLIT.value:
    config = _CONFIG.value.copy_and_resolve_references()
  else:
    config = defaults.get_config()
    config.data.channels = len(card.mean)
    config.data.max_bad_fraction = 1.0
  # Of training only, and not every network has them.
  config.model.update(aux_head=False, drop_path_rate=0.0)
  config.batch_size = _BATCH.value
  return config


def _open(config, paths: list[str], held_out: list[str]) -> list[tuple]:
  """Returns each split, and whether its labels are known."""
  from inception_jax.data import image_files
  from inception_jax.data.sources import registry

  if _SPLIT.value:
    names = [_SPLIT.value, *held_out]
    opened = [(registry.load(config, name), True) for name in names]
  else:
    opened = [image_files.open_split(paths)]
    split, is_labelled = opened[0]
    if (_KNN.value or _PROBE.value) and not is_labelled:
      raise UserError(
        '--knn and --linear_probe need classes: every image in a folder of its '
        'class below the given ones'
      )
    if held_out:
      opened.append(image_files.open_split(held_out, split.class_names))
      if not opened[1][1]:
        raise UserError(
          f'--held_out={held_out[0]}: every image needs a folder of its class'
        )
  if _KNN.value > (most := opened[0][0].size - (not held_out)):
    raise UserError(f'--knn={_KNN.value}: an image has {most} neighbours')
  return opened


def _measure(*extracted) -> dict[str, float]:
  """Returns the accuracies that the flags ask for."""
  from inception_jax.evaluation import probes

  result = {}
  if _KNN.value:
    result['knn_top1'] = probes.nearest_neighbours(_KNN.value, *extracted)
  if _PROBE.value:
    result['linear_probe_top1'] = probes.linear_probe(*extracted)
  return result


if __name__ == '__main__':
  cli.run(
    main,
    lambda result: bool(result['failed']) and not _SPLIT.value,
    takes_paths=True,
  )

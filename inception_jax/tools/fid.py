"""Compares two sets of images: FID, KID, precision, recall, Inception Score.

python -m inception_jax.tools.fid photos/ samples.npz \
    --weights=pt_inception-2015-12-05-6726825d.pth
python -m inception_jax.tools.fid photos.zip samples/ --weights=inception.pth \
    --mode=legacy_tensorflow --metrics=fid,kid,is,prdc,sfid,fid_infinity
python -m inception_jax.tools.fid tfds:cifar10:train --weights=inception.pth \
    --save_stats=cifar10.npz

REAL and FAKE are each a folder, a .zip, a .tar, a .txt with a path on each
line, an array in .npy or .npz (uint8 [N, H, W, 3]), SOURCE:SPLIT of a dataset
(in --data_dir=), or statistics in .npz: those of --save_stats=, of pytorch-fid
or of clean-fid. REAL alone is for --save_stats= and --metrics=is.

--weights= is the network of 2015, pytorch-fid's .pth or TensorFlow's .pb, and
--mode= whose pixels it sees: those of clean-fid, of torch-fidelity and
TensorFlow (legacy_tensorflow), or of pytorch-fid (legacy_pytorch). --workdir=
or --checkpoint=PATH compares by the pooled features of any other network, with
its own preprocessing.

Prints a line for each metric; the result has all of them. Images that cannot
be decoded are left out and reported in `failed`; the exit status then is 1.
"""

import os
from typing import Any

from absl import flags

from inception_jax.checkpointing import lookup
from inception_jax.errors import UserError
from inception_jax.runtime import cli
from inception_jax.runtime import device_flags
from inception_jax.runtime import files

flags.adopt_module_key_flags(device_flags)
_METRICS = flags.DEFINE_list(
  'metrics', None, 'Of fid, kid, is, prdc, sfid, fid_infinity; default: fid.'
)
_WEIGHTS = cli.define_path('weights', 'File of the network of 2015.')
_MODE = flags.DEFINE_enum(
  'mode',
  None,
  ['clean', 'legacy_tensorflow', 'legacy_pytorch'],
  'Resizing and range of images, with --weights=; default: clean.',
)
_WORKDIR = cli.define_path('workdir', 'Folder of the run of another network.')
_CHECKPOINT = flags.DEFINE_string(
  'checkpoint', 'latest', 'latest, best, a step, or the path of weights.'
)
_DATA_DIR = cli.define_path(
  'data_dir',
  'Where the data of SOURCE:SPLIT are; tfds has a default.',
  copied=False,
)
_IMAGES = flags.DEFINE_integer(
  'num_images', 0, 'The first this many of each set; 0: all.', lower_bound=0
)
_BATCH = flags.DEFINE_integer(
  'batch_size', 32, 'Images in a batch, of each device.', lower_bound=1
)
_SAVE = cli.define_path('save_stats', 'The .npz to create, of REAL.')
_SEED = flags.DEFINE_integer(
  'seed', 2020, "Of subsets, shuffles and resamples; torch-fidelity's."
)
_INTERVAL = flags.DEFINE_float(
  'interval', 0.0, 'Level of a bootstrap interval of the FID, as 0.95; 0: none.'
)
_RESAMPLES = flags.DEFINE_integer(
  'resamples', 100, 'Resamples of --interval.', lower_bound=2
)
_SUBSETS = flags.DEFINE_integer(
  'kid_subsets', 100, "The KID's subsets.", lower_bound=1
)
_SUBSET_SIZE = flags.DEFINE_integer(
  'kid_subset_size', 1000, 'Images in each of them.', lower_bound=2
)
_SPLITS = flags.DEFINE_integer(
  'is_splits', 10, "The Inception Score's.", lower_bound=1
)
_NEIGHBOURS = flags.DEFINE_integer(
  'neighbours', 3, 'k of precision and recall.', lower_bound=1
)
_DENSITY_NEIGHBOURS = flags.DEFINE_integer(
  'density_neighbours', 5, 'k of density and coverage.', lower_bound=1
)


def main(words: list[str]) -> dict[str, Any]:
  """Extracts the features of both sets, and compares them."""
  metrics = _METRICS.value
  if metrics is None:
    metrics = ['fid'] if len(words) > 1 else []
  if faults := _faults(words, metrics):
    raise UserError(*faults)
  # Imported late: these take seconds, and --help needs none of them.
  from inception_jax.fid import comparison
  from inception_jax.fid import scores
  from inception_jax.fid import sets

  devices = device_flags.choose()
  options = scores.Options(
    seed=_SEED.value,
    interval=_INTERVAL.value,
    resamples=_RESAMPLES.value,
    kid_subsets=_SUBSETS.value,
    kid_subset_size=_SUBSET_SIZE.value,
    is_splits=_SPLITS.value,
    neighbours=_NEIGHBOURS.value,
    density_neighbours=_DENSITY_NEIGHBOURS.value,
  )
  named = sets.load(words, metrics, _config(), options, _IMAGES.value)
  network, mesh = _load_network(devices, metrics)
  cli.use_compilation_cache()
  compared = comparison.extract(
    *(network, mesh, _BATCH.value, named, metrics),
    interval=bool(_INTERVAL.value),
    save_stats=_SAVE.value,
  )
  found: dict[str, Any] = {}
  for metric in metrics:
    found |= compared.score(metric, options)
    print(scores.line(metric, found), flush=True)
  return {
    **found,
    'images': compared.images,
    'failed': compared.failed,
    'mode': network.mode,
    'digest': network.digest,
    'images_per_second': compared.images_per_second,
    'save_stats': compared.saved,
  }


def _config():
  """Returns where the data of SOURCE:SPLIT are."""
  from inception_jax.config import defaults

  config = defaults.get_config()
  config.data.dir = _DATA_DIR.value
  return config


def _load_network(devices, metrics: list[str]):
  """Returns the network of the flags, and the mesh."""
  from inception_jax.distributed import sharding
  from inception_jax.fid import modes
  from inception_jax.fid import networks
  from inception_jax.weights import pretrained

  mesh = sharding.make_mesh(devices)
  which = _WEIGHTS.value or _CHECKPOINT.value
  _, weights = pretrained.restore(_WORKDIR.value, which, mesh, headless=True)
  if _WEIGHTS.value:
    network = networks.of_mode(weights, _MODE.value or modes.DEFAULT)
  else:
    network = networks.of_own(weights)
  if 'is' in metrics and not network.has_classifier:
    raise UserError(f'--metrics=is: {weights.origin} has no classifier')
  return network, mesh


def _faults(words: list[str], metrics: list[str]) -> list[str]:
  """Returns all that is wrong with the command but for what files contain."""
  from inception_jax.fid import collected
  from inception_jax.fid import sets

  faults = []
  if unknown := [x for x in metrics if x not in collected.METRICS]:
    known = ', '.join(collected.METRICS)
    faults.append(f'--metrics={",".join(unknown)}: expected some of {known}')
    metrics = [x for x in metrics if x in collected.METRICS]
  has_path = lookup.is_path(_CHECKPOINT.value)
  given = (bool(_WEIGHTS.value), bool(_WORKDIR.value), has_path)
  if sum(given) != 1:
    faults.append('give one of --weights=, --workdir= and --checkpoint=PATH')
  if not _WEIGHTS.value:
    faults += [
      f'{flag} is for --weights=, the network of 2015'
      for flag, given in (
        ('--mode', _MODE.value),
        ('--metrics=sfid', 'sfid' in metrics),
      )
      if given
    ]
  if not 0 <= _INTERVAL.value < 1:
    faults.append(f'--interval={_INTERVAL.value:g}: expected 0, or below 1')
  elif _INTERVAL.value and 'fid' not in metrics:
    faults.append('--interval is of --metrics=fid')
  faults += _faults_of_words(words, metrics)
  faults += sets.check(words[:2], metrics, _config(), _INTERVAL.value > 0)
  return faults


def _faults_of_words(words: list[str], metrics: list[str]) -> list[str]:
  from inception_jax.fid import collected

  faults = []
  others = [x for x in metrics if x != 'is']
  if len(words) not in (1, 2):
    faults.append('name two sets of images, REAL and FAKE')
  elif len(words) == 2 and _METRICS.value == []:
    faults.append(f'--metrics= names none of {", ".join(collected.METRICS)}')
  elif len(words) == 1 and (others or not (metrics or _SAVE.value)):
    what = f'--metrics={",".join(others)}' if others else 'a comparison'
    faults.append(
      f'{what} needs two sets, REAL and FAKE; one is for --save_stats= and '
      '--metrics=is'
    )
  output = _SAVE.value
  if output and not output.endswith('.npz'):
    faults.append(f'--save_stats={output}: expected a name in .npz')
  elif output and os.path.lexists(output):
    faults.append(f'--save_stats={output} already exists')
  elif output and (
    fault := files.cannot_write(os.path.dirname(os.path.abspath(output)))
  ):
    faults.append(f'--save_stats={output} cannot be written: {fault}')
  return faults


if __name__ == '__main__':
  cli.run(main, lambda result: bool(result['failed']), takes_paths=True)

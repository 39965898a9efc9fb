"""Compares `tools.fid` with pytorch-fid, torch-fidelity, clean-fid and prdc.

  make parity-fid DATA=DIR PHOTOS=DIR     # writes benchmarks/fid.md

DATA is a folder of images of one size, PHOTOS one of photographs of any sizes.
Of each, images at equal distances become two folders. The packages run as their
users call them (fid_packages.py), with weights at random in a file that all of
them and we read. The exit status is 1, and no page is written, if a difference
exceeds its bound.
"""

import argparse
import os
import pathlib
import shutil
import sys
import tempfile
import time

import jax
import numpy as np
import prdc
import torch
from torch_fidelity import metric_isc
from torch_fidelity import metric_kid
from torch_fidelity import metric_prc

from inception_jax.data import image_files
from inception_jax.distributed import sharding
from inception_jax.fid import extraction
from inception_jax.fid import frechet
from inception_jax.fid import inception_score
from inception_jax.fid import kernel
from inception_jax.fid import manifold
from inception_jax.fid import moments
from inception_jax.fid import networks
from inception_jax.fid import stats_file
from inception_jax.runtime import cli
from inception_jax.runtime import hardware
from inception_jax.weights import pretrained
from tests.parity import fid_packages
from tests.parity import run
from tests.parity import table
from tests.support.commands import ROOT

MODES = {
  'legacy_pytorch': 'pytorch-fid',
  'legacy_tensorflow': 'torch-fidelity',
  'clean': 'clean-fid',
}
FEATURES, FID, SCORES = 1e-5, 1e-4, 1e-6  # bounds
BATCH = 16
# Rows of an interrupted run, which the same command continues.
DONE = ROOT / 'runs' / 'parity_fid'
_EXPLAINED = f"""\
Each package computes the FID of two folders as its users call it, on the CPU,
in batches of {BATCH}, and of 1 where the images have many sizes. `tools.fid`
has the same folders, the mode of the package, and the same weights, at random,
in pytorch-fid's file; clean-fid's are in a TorchScript file. Features are
compared by the largest difference over the largest feature, bound {FEATURES:g};
the FID by its relative difference, bound {FID:g}. The next column is that of
ours from the package's own features, and from the file of statistics that it
writes of the real ones: what remains is the rounding of its square root.
Images a second are those of all batches but each folder's first. CPU time is
that of the process, without workers that read images; PyTorch's threads spin
while they wait, which counts: beside other work, both sides' times grow."""
_SCORES = f"""\
## Scores of the same features

Those of the first rows of torch-fidelity and clean-fid above, in float64, since
torch-fidelity computes the KID of float32 features in float32. Seed
{fid_packages.SEED}, {fid_packages.SUBSETS} subsets. Bound: {SCORES:g}. The last
row is the FID, once by the singular values of the centred features, which do
not square them.
"""


def folders(source: str, count: int, output: pathlib.Path) -> list[str]:
  """Copies images of a folder to two; returns their paths."""
  found = sorted(
    path
    for path in pathlib.Path(source).rglob('*')
    if path.suffix.lower() in ('.jpg', '.jpeg', '.png')
  )
  if len(found) < 2 * count:
    sys.exit(f'error: {source} has {len(found)} images, not {2 * count}')
  at = np.linspace(0, len(found) - 1, 2 * count).astype(int)
  for name, rows in (('real', at[:count]), ('fake', at[count:])):
    (output / name).mkdir(parents=True)
    for i, row in enumerate(rows):
      # pytorch-fid looks for names in lower case.
      ending = found[row].suffix.lower()
      shutil.copy(found[row], output / name / f'{i:05}{ending}')
  return [str(output / name) for name in ('real', 'fake')]


def features_of(weights: str, mode: str, folder: str):
  """Returns our features of a folder, [N, D], and the CPU time of an image."""
  mesh = sharding.make_mesh(jax.devices()[:1])
  _, read = pretrained.restore('', weights, mesh, headless=True)
  network, rows = networks.of_mode(read, mode), []
  paths = sorted(os.path.join(folder, name) for name in os.listdir(folder))
  extract = extraction.Extraction(network, (networks.POOLED,), mesh, BATCH)
  for names in (paths[:1], paths):  # the first run compiles
    rows.clear()
    split, _ = image_files.open_split(names)
    begin = time.process_time()
    extract.run(split, {networks.POOLED: rows.append}, mode)
  seconds = (time.process_time() - begin) / len(paths)
  return np.concatenate(rows), seconds


def compared(name, mode, weights, real, fake, batch_size, output):
  """Returns a row, whether it is within bounds, and the package's features."""
  output.mkdir()
  package = MODES[mode]
  theirs = run.result_of(
    *('-m', 'tests.parity.fid_packages', package, f'--weights={weights}'),
    *(f'--real={real}', f'--fake={fake}', f'--output={output}'),
    f'--batch_size={batch_size}',
  )
  found = run.result_of(
    *('-m', 'inception_jax.tools.fid', real, fake),
    *(f'--weights={weights}', f'--mode={mode}', f'--batch_size={BATCH}'),
  )
  with np.load(output / 'features.npz') as file:
    features = dict(file)
  own, cpu = features_of(weights, mode, real)
  difference = np.abs(own - features['real']).max() / features['real'].max()
  known = moments.from_features(features['real'])
  if (stats := output / 'stats.npz').exists():
    read = stats_file.read(str(stats), '')
    known = moments.Moments(read.mean, read.covariance, known.count)
  same = frechet.distance(known, moments.from_features(features['fake'])).value
  differences = [abs(x / theirs['fid'] - 1) for x in (found['fid'], same)]
  right = difference <= FEATURES and max(differences) <= FID
  speeds = [x['images_per_second'] for x in (found, theirs)]
  times = [1000 * x for x in (cpu, theirs['cpu_seconds_per_image'])]
  cells = [
    *(package, mode, f'{name}, {len(own)} + {len(features["fake"])}'),
    *(f'{difference:.1e}', f'{theirs["fid"]:.6f}', f'{found["fid"]:.6f}'),
    *(f'{x:.1e}' for x in differences),
    *(f'{x:.1f}' for x in speeds),
    *(f'{x:.0f}' for x in times),
    f'{times[1] / times[0]:.2f}',
  ]
  return f'| {" | ".join(cells)} |', right, features


def scores(features) -> dict[str, tuple[float, float]]:
  """Returns the scores of the packages and ours, of the same features."""
  real, fake, logits = (
    features[key].astype(np.float64) for key in ('real', 'fake', 'logits')
  )
  torch_real, torch_fake = torch.from_numpy(real), torch.from_numpy(fake)
  size, k = len(real) // 2, 3
  options = {'subsets': fid_packages.SUBSETS, 'seed': fid_packages.SEED}
  found = {}
  kid = metric_kid.kid_features_to_metric(
    *(torch_fake, torch_real),
    **{'kid_subsets': fid_packages.SUBSETS, 'kid_subset_size': size},
    **{'rng_seed': fid_packages.SEED, 'verbose': False},
  )
  mean, deviation = kernel.distance(real, fake, size=size, **options)
  found['KID, torch-fidelity'] = kid['kernel_inception_distance_mean'], mean
  found['σ of it'] = kid['kernel_inception_distance_std'], deviation
  isc = metric_isc.isc_features_to_metric(torch.from_numpy(logits))
  mean, deviation = inception_score.score(logits, seed=fid_packages.SEED)
  found['Inception Score, torch-fidelity'] = isc['inception_score_mean'], mean
  found['σ of it '] = isc['inception_score_std'], deviation
  prc = metric_prc.prc_features_to_metric(
    torch_fake, torch_real, prc_neighborhood=k, verbose=False
  )
  own = manifold.scores(real, fake, neighbours=k)
  found['precision, torch-fidelity'] = prc['precision'], own.precision
  found['recall, torch-fidelity'] = prc['recall'], own.recall
  naeem = prdc.compute_prdc(real, fake, nearest_k=5)
  own = manifold.scores(real, fake, neighbours=5)
  for key in ('precision', 'recall', 'density', 'coverage'):
    found[f'{key}, prdc, k 5'] = float(naeem[key]), getattr(own, key)
  distance = frechet.distance(*map(moments.from_features, (real, fake))).value
  found['FID, by singular values'] = by_singular_values(real, fake), distance
  return found


def by_singular_values(real, fake) -> float:
  """Returns the distance, of which no covariance is computed."""
  means = [x.mean(0) for x in (real, fake)]
  centred = [
    (x - mean) / np.sqrt(len(x) - 1)
    for x, mean in zip((real, fake), means, strict=True)
  ]
  shared = np.linalg.svd(centred[0] @ centred[1].T, compute_uv=False).sum()
  own = sum(np.sum(x**2) for x in centred)
  return np.sum((means[0] - means[1]) ** 2) + own - 2 * shared


def clean_kid(features) -> tuple[float, float]:
  """Returns clean-fid's KID, whose subsets are numpy's global ones."""
  from cleanfid import fid

  real, fake = (features[x].astype(np.float64) for x in ('real', 'fake'))
  np.random.seed(fid_packages.SEED)
  theirs = fid.kernel_distance(real, fake, num_subsets=fid_packages.SUBSETS)
  found, _ = kernel.distance(
    *(real, fake),
    **{'subsets': fid_packages.SUBSETS, 'size': min(len(real), 1000)},
    seed=fid_packages.SEED,
  )
  return theirs, found


def measure(name, mode, source, count, batch_size) -> bool:
  """Measures a row and keeps it in `DONE`; returns if it is within bounds."""
  with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    weights = str(folder / 'weights.pth')
    state = fid_packages.random_network().state_dict()
    torch.save({k: x for k, x in state.items() if x.ndim}, weights)
    real, fake = folders(source, count, folder)
    row, right, features = compared(
      name, mode, weights, real, fake, batch_size, folder / 'output'
    )
  print(row, '' if right else 'OVER', file=sys.stderr, flush=True)
  if right:
    DONE.mkdir(parents=True, exist_ok=True)
    np.savez(_path(name, mode), row=np.array(row), **features)
  return right


def main() -> int:
  parser = argparse.ArgumentParser(description=__doc__)
  for name in ('data', 'photos'):
    parser.add_argument(f'--{name}', required=True)
  parser.add_argument('--images', type=int, default=48, help='of each folder')
  parser.add_argument('--photos_images', type=int, default=24)
  parser.add_argument(
    '--only', default='', help='part of a row, CIFAR-10-clean'
  )
  args = parser.parse_args()
  cli.use_compilation_cache()
  wrong = 0
  sets = {
    'CIFAR-10': (args.data, args.images, BATCH),
    'photographs': (args.photos, args.photos_images, 1),
  }
  rows = [(name, mode) for name in sets for mode in MODES]
  for name, mode in rows:
    if args.only in f'{name}-{mode}' and not _path(name, mode).exists():
      source, count, size = sets[name]
      # clean-fid resizes before it makes a batch.
      size = BATCH if mode == 'clean' else size
      wrong += not measure(name, mode, source, count, size)
  if missing := [
    f'{x}-{mode}' for x, mode in rows if not _path(x, mode).exists()
  ]:
    print(
      f'{wrong} rows exceed their bounds; missing: {missing}', file=sys.stderr
    )
    return bool(wrong)
  kept = {row: dict(np.load(_path(*row))) for row in rows}
  found = scores(kept['CIFAR-10', 'legacy_tensorflow'])
  found['KID, clean-fid'] = clean_kid(kept['CIFAR-10', 'clean'])
  lines = [
    f'| {name.strip()} | {theirs:.9g} | {own:.9g} | {abs(own - theirs):.1e} |'
    for name, (theirs, own) in found.items()
  ]
  print('\n'.join(lines), file=sys.stderr)
  if over := [n for n, (a, b) in found.items() if not abs(a - b) <= SCORES]:
    print(f'{over} exceed their bounds', file=sys.stderr)
    return 1
  text = page([str(x['row']) for x in kept.values()], lines)
  print(text)
  (ROOT / 'benchmarks' / 'fid.md').write_text(text)
  shutil.rmtree(DONE)  # the next run measures everything again
  return 0


def _path(name: str, mode: str) -> pathlib.Path:
  return DONE / f'{name}-{mode}.npz'


def page(lines: list[str], rows: list[str]) -> str:
  columns = ['package', '--mode', 'images', 'features', 'FID, theirs', 'ours']
  columns += ['relative', 'of their features', 'images/s, ours', 'theirs']
  columns += ['CPU ms an image, ours', 'theirs', 'ratio']
  first = table.page(
    '# FID and its relatives',
    f'`make parity-fid` on {hardware.machine()}, in float32, '
    f'{time.strftime("%Y-%m-%d")}.',
    _EXPLAINED,
    columns,
    lines,
    [],
  ).rstrip()
  head = ['score', 'theirs', 'ours', 'difference']
  second = [f'| {" | ".join(head)} |', f'|{"---|" * len(head)}', *rows]
  versions = table.versions(sys.executable)
  return '\n'.join([first, '', _SCORES, *second, '', f'- {versions}', ''])


if __name__ == '__main__':
  os.environ.setdefault('JAX_PLATFORMS', 'cpu')
  sys.exit(main())

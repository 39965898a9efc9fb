"""Damaged images through every reader of images: the same ones are bad.

  make fuzz-images                             # and benchmarks/fuzz_images.md

Images of each format are damaged at random, and read by `tools.prepare
--check_images`, by a training and its evaluation, by `tools.predict`, and by
the C++ client, whose SavedModel preprocesses them. Every command must end by
itself and account for every file; all must call the same files bad, and
`tools.predict` and the client must give the others the same probabilities.
"""

import argparse
import collections
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
from PIL import Image

from configs import digits
from inception_jax.export import formats
from inception_jax.models import factory
from inception_jax.runtime import hardware
from tests.fuzz import targets
from tests.parity import table
from tests.support import commands
from tests.support import pictures

_CLIENT = commands.ROOT / 'serving' / 'cpp' / 'build' / 'classify'
_PAGE = commands.ROOT / 'benchmarks' / 'fuzz_images.md'
_CLASSES = 'cat', 'dog'
# What a SavedModel does not read, beside BMPs with a palette.
_PYTHON_ONLY = '.tif', '.jp2'
# Its CMYK JPEGs have other pixels: docs/exporting.md.
_OTHER_PIXELS = 'CMYK'
# Of the probabilities: the client's TensorFlow sums in another order.
_BOUND = 1e-4
_SECONDS = 1800  # of a command
_KINDS = {
  '.jpg': ('JPEG', ('RGB', 'L', 'CMYK'), ({}, {'progressive': True})),
  '.png': ('PNG', ('RGB', 'RGBA', 'LA', 'P', 'L', '1', 'I;16'), ({},)),
  '.gif': ('GIF', ('P', 'L'), ({}, {'transparency': 3})),
  '.bmp': ('BMP', ('RGB', 'L', 'P'), ({},)),
  '.webp': ('WEBP', ('RGB', 'RGBA'), ({}, {'lossless': True})),
  '.tif': ('TIFF', ('RGB', 'L', 'I;16'), ({}, {'compression': 'tiff_lzw'})),
  '.jp2': ('JPEG2000', ('RGB', 'L'), ({},)),
}


def seeds() -> dict[str, list[tuple[str, bytes]]]:
  """Returns mode and content of whole images, by the ending of their names."""
  rng = np.random.default_rng(0)
  coarse = rng.integers(0, 256, (6, 8, 3), np.uint8)
  image = Image.fromarray(coarse).resize((48, 40), Image.Resampling.BICUBIC)

  def encoded(kind, mode, options):
    of_mode = image.convert('L').convert(mode) if ';' in mode else image
    buffer = io.BytesIO()
    of_mode.convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()

  return {
    suffix: [
      (mode, encoded(kind, mode, options))
      for mode in modes
      for options in variants
    ]
    for suffix, (kind, modes, variants) in _KINDS.items()
  }


def write(folder: pathlib.Path, count: int) -> dict[str, bytes]:
  """Writes `count` damaged files, and whole ones; returns their seeds.

  The files are in two class folders each of train and val, with equal contents.
  """
  rng = np.random.default_rng(1)
  contents, whole = {}, seeds()
  for suffix, originals in whole.items():
    for i, (mode, content) in enumerate(originals):
      contents[f'whole_{i:02}_{mode}{suffix}'] = content
  for i in range(count):
    suffix = list(whole)[i % len(whole)]
    originals = whole[suffix]
    mode, content = originals[rng.integers(len(originals))]
    if rng.integers(4) == 0:
      content = content[: rng.integers(len(content))]
    else:
      content = targets.mutated(content, rng)
    contents[f'{i:05}_{mode}{suffix}'] = content
  for i, (name, content) in enumerate(contents.items()):
    for split in ('train', 'val'):
      path = folder / split / _CLASSES[i % 2] / name
      path.parent.mkdir(parents=True, exist_ok=True)
      path.write_bytes(content)
  return contents


def bad_in(lines) -> dict[str, set[str]]:
  """Returns the file names in lines `path: reason`, by split."""
  found = collections.defaultdict(set)
  for line in lines:
    path = pathlib.Path(line.partition(': ')[0])
    found[path.parts[-3]].add(path.name)
  return found


class Readers:
  """Each reader's bad files, and the probabilities of the others."""

  def __init__(self, images: pathlib.Path, scratch: pathlib.Path):
    self._images, self._scratch = images, scratch
    self.seconds = {}

  def _run(self, name: str, *args, program, statuses=(0, 1)) -> list[str]:
    started = time.perf_counter()
    place = commands.command(*map(str, args), program=program)
    if program[0] == str(_CLIENT):
      place['args'] = [*program, *map(str, args)]
      place['env'].pop('LD_PRELOAD', None)
    done = subprocess.run(**place, timeout=_SECONDS)
    self.seconds[name] = time.perf_counter() - started
    if done.returncode not in statuses:
      raise SystemExit(
        f'{name}: exit status {done.returncode}\n{done.stderr[-4000:]}'
      )
    return done.stdout.splitlines()

  def check(self) -> dict[str, set[str]]:
    *_, line = self._run(
      'tools.prepare --check_images',
      '--source=folder',
      f'--data_dir={self._images}',
      '--splits=train,val',
      '--check_images',
      program=('-m', 'inception_jax.tools.prepare'),
    )
    return bad_in(json.loads(line)['bad_images'])

  def train(self) -> dict[str, set[str]]:
    """Trains for an epoch, and evaluates."""
    workdir = self._scratch / 'run'
    *_, line = self._run(
      'training and evaluation',
      '--config=configs/digits.py',
      f'--workdir={workdir}',
      '--config.data.source=folder',
      f'--config.data.dir={self._images}',
      '--config.data.eval_split=val',
      '--config.data.max_bad_fraction=0.99',
      '--config.batch_size=32',
      '--config.train_for=1 epoch',
      program=('-m', 'tests.support.tiny'),
      statuses=(0,),
    )
    found = bad_in((workdir / 'bad_images.txt').read_text().splitlines())
    total = sum(1 for _ in (self._images / 'val').rglob('*.*'))
    count = json.loads(line)['count']
    if count != total - len(found['val']):
      raise SystemExit(f'evaluated {count} of {total} images, bad: {found}')
    return found

  def predict(self, artifact: pathlib.Path):
    """Returns the bad files and the probabilities of the others."""
    *_, line = self._run(
      'tools.predict',
      f'--artifact={artifact}',
      '--exif=ignore',
      self._images / 'val',
      program=('-m', 'inception_jax.tools.predict'),
    )
    result = json.loads(line)
    failed, probabilities = self._result(
      result['failed'], result['predictions']
    )
    return set(failed), probabilities

  def client(self, artifact: pathlib.Path):
    """The same of the C++ client, and the names of what it does not read."""
    *lines, line = self._run(
      'the C++ client',
      f'--model={artifact}',
      '--json',
      self._images / 'val',
      program=(str(_CLIENT),),
    )
    failed = json.loads(line)['failed']
    failed, probabilities = self._result(failed, map(json.loads, lines))
    unread = {x for x, why in failed.items() if 'is not supported' in why}
    return failed.keys() - unread, probabilities, unread

  def _result(self, failed, predictions):
    probabilities = {
      os.path.basename(x['image']): {
        y['class']: y['probability'] for y in x['classes']
      }
      for x in predictions
    }
    return {
      os.path.basename(x): why for x, why in failed.items()
    }, probabilities


def differences(contents, readers: Readers, artifact) -> tuple[list, list]:
  """Returns a line for each disagreement, and the rows of the table."""
  checked, trained = readers.check(), readers.train()
  predicted, ours = readers.predict(artifact)
  client, theirs, unread = readers.client(artifact)
  wrong = []
  for name in contents:
    verdicts = {
      'check of train': name in checked['train'],
      'check of val': name in checked['val'],
      'training': name in trained['train'],
      'evaluation': name in trained['val'],
      'tools.predict': name in predicted,
    }
    if not name.endswith(_PYTHON_ONLY) and name not in unread:
      verdicts['C++ client'] = name in client
    if len(set(verdicts.values())) > 1:
      wrong.append(f'{name}: bad in {verdicts}')
    elif not any(verdicts.values()):
      if name not in ours or ('C++ client' in verdicts and name not in theirs):
        wrong.append(f'{name}: neither bad nor predicted')
      elif name in theirs and _OTHER_PIXELS not in name:
        gap = max(abs(theirs[name][k] - v) for k, v in ours[name].items())
        if gap > _BOUND:
          wrong.append(f'{name}: probabilities differ by {gap:.2g}')
  rows = []
  for suffix in _KINDS:
    names = [name for name in contents if name.endswith(suffix)]
    bad = sum(name in predicted for name in names)
    rows.append(f'| {suffix} | {len(names)} | {bad} | {len(names) - bad} |')
  return wrong, rows


def main() -> int:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--count', type=int, default=2100)
  args = parser.parse_args()
  if not _CLIENT.exists():
    raise SystemExit('error: the C++ client is not built: make cpp')
  with tempfile.TemporaryDirectory() as scratch:
    scratch = pathlib.Path(scratch)
    contents = write(scratch / 'images', args.count)
    artifact = scratch / 'model'
    config = factory.resolve(digits.get_config())
    weights = pictures.random_weights(config, 2, _CLASSES, 1.02)
    formats.FORMATS['savedmodel'].save(weights, str(artifact), 5)
    readers = Readers(scratch / 'images', scratch)
    wrong, rows = differences(contents, readers, artifact)
  text = table.page(
    '# Damaged images',
    f'`make fuzz-images` on {hardware.machine()}, {time.strftime("%Y-%m-%d")}.',
    __doc__.partition('\n\n')[2].partition('\n\n')[2],
    ['format', 'files', 'bad', 'good'],
    rows,
    [
      f'{args.count} damaged files and {len(contents) - args.count} whole; '
      f'disagreements: {len(wrong)}.',
      'SavedModels read no TIFF, no JPEG 2000 and no BMP with a palette; of '
      'CMYK JPEGs, which have other pixels there, the verdicts are compared.',
      *(f'{name}: {x:.0f} s.' for name, x in readers.seconds.items()),
      table.versions(sys.executable),
    ],
  )
  print(text)
  print('\n'.join(wrong), file=sys.stderr)
  if not wrong and args.count >= 2000:
    _PAGE.write_text(text)
  return 1 if wrong else 0


if __name__ == '__main__':
  sys.exit(main())

"""Which options of tools.prepare go together."""

import os

from inception_jax.buckets import bucket
from inception_jax.runtime import files

# Those that are read from a bucket by records, and have an index there.
_INDEXED = ('folder', 'cifar', 'tfrecord', 'webdataset')


def check(
  source: str,
  data_dir: str,
  index: bool,
  archives: bool,
  fix: str,
  near: int,
  decodes: bool,
  page: str,
) -> list[str]:
  """Returns a line for each option that others exclude.

  Args:
    source, data_dir, index, fix, near, page: the options.
    archives: whether any is given.
    decodes: whether all images are decoded.
  """
  problems = [
    f'--{name}: only with --check_images and --source=folder'
    for name, is_given in (('near_duplicates', near >= 0), ('fix', bool(fix)))
    if is_given and (source != 'folder' or not decodes)
  ]
  if page and os.path.isdir(page):
    problems.append(f'--describe={page} is a folder: name a file in it')
  elif page and (reason := files.cannot_write(os.path.dirname(page) or '.')):
    problems.append(f'--describe={page} cannot be written: {reason}')
  if bucket.is_url(data_dir):
    given = {'archive': archives, 'fix': fix}
    problems += [
      f'--{name}: a dataset in a bucket is only read'
      for name, value in given.items()
      if value and not source.startswith('tfds:')
    ]
    if index and source not in _INDEXED:
      problems.append(f'--index: only of {", ".join(_INDEXED)}')
    return problems
  if index:
    problems.append('--index: only with --data_dir in a bucket')
  if fix and data_dir:
    problems += _check_fix(fix, data_dir)
  return problems


def _check_fix(fix: str, data_dir: str) -> list[str]:
  problems = []
  if os.path.isfile(data_dir):
    problems.append(f'--fix: {data_dir} is only read; unpack it first')
  if os.path.lexists(fix):
    problems.append(f'--fix={fix} already exists')
  target, data = map(os.path.realpath, (fix, data_dir))
  if os.path.commonpath([target, data]) == data:
    problems.append(f'--fix={fix} is in the dataset: choose a folder outside')
  elif reason := files.cannot_write(fix):
    problems.append(f'--fix={fix} cannot be written: {reason}')
  return problems

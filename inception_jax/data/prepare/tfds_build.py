"""Preparing a dataset with tensorflow-datasets, after checks of its inputs."""

import difflib
import logging
import os
import pathlib
import socket
import urllib.parse

from inception_jax.data.lazy import tfds
from inception_jax.data.sources import tfds as tfds_lib
from inception_jax.errors import UserError

log = logging.getLogger(__name__)

MANUAL = os.path.join('downloads', 'manual')


def build(name: str, data_dir: str, file_format: str, paths: list[str]) -> None:
  """Prepares a dataset.

  Args:
    name: the dataset's name in tfds.
    data_dir: the folder to prepare it in.
    file_format: array_record or tfrecord.
    paths: archives that tfds does not download, all in one folder.

  Raises:
    UserError: an unknown dataset, or tfds cannot prepare it.
  """
  tfds_lib.disable_gcs()
  folders = {os.path.dirname(os.path.abspath(path)) for path in paths}
  manual = pathlib.Path(folders.pop() if folders else f'{data_dir}/{MANUAL}')
  if folders:
    raise UserError('--archive: tfds needs all archives in one folder')
  dataset = tfds_lib.dataset_name(name)
  known = tfds.list_builders()
  if dataset not in known:
    similar = ', '.join(difflib.get_close_matches(dataset, known)) or 'none'
    raise UserError(f'tfds has no dataset {name}; similar names: {similar}')
  try:
    builder = tfds.builder(name, data_dir=data_dir, file_format=file_format)
    _check_network(builder.url_infos, data_dir, manual)
    log.info('preparing %s in %s', name, builder.data_dir)
    download = tfds.download.DownloadConfig(
      manual_dir=manual if manual.is_dir() else None
    )
    builder.download_and_prepare(download_config=download)
  except UserError:
    raise
  except Exception as error:  # from network, disk or the dataset's own code
    reason = ' '.join(str(error).split())[:400]
    raise UserError(f'tfds cannot prepare {name}: {reason}') from error


def _check_network(urls, data_dir: str, manual: pathlib.Path) -> None:
  """Raises UserError without a network; tfds would retry for ten minutes."""
  if any(pathlib.Path(data_dir, 'downloads').rglob('*.INFO')):
    return  # something was downloaded before
  problems = []
  for url, info in urls.items():
    host = urllib.parse.urlparse(url).hostname
    path = manual / (info.filename or os.path.basename(url))
    if not path.exists() and host and not _resolves(host):
      problems.append(f'{host} cannot be reached: download {url} into {manual}')
  if problems:
    raise UserError(*problems)


def _resolves(host: str) -> bool:
  try:
    return bool(socket.getaddrinfo(host, None))
  except OSError:
    return False

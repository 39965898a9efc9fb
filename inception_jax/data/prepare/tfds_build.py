"""Has tensorflow-datasets prepare a set, once it can be expected to succeed."""

import difflib
import logging
import os
import pathlib
import socket
import urllib.parse

from inception_jax.data.sources import tfds as tfds_lib
from inception_jax.errors import UserError

log = logging.getLogger(__name__)

MANUAL = os.path.join('downloads', 'manual')


def build(name: str, data_dir: str, file_format: str, paths: list[str]) -> None:
  """Prepares a set.

  Args:
    name: of the set, as tfds writes it.
    data_dir: where it goes.
    file_format: array_record or tfrecord.
    paths: archives that tfds does not download, in one folder.

  Raises:
    UserError: no such set, or tfds cannot prepare it.
  """
  import tensorflow_datasets as tfds

  tfds_lib.disable_gcs()
  folders = {os.path.dirname(os.path.abspath(path)) for path in paths}
  manual = pathlib.Path(folders.pop() if folders else f'{data_dir}/{MANUAL}')
  if folders:
    raise UserError('--archive: tfds wants all of them in one folder')
  base = tfds_lib.base_name(name)
  known = tfds.list_builders()
  if base not in known:
    near = ', '.join(difflib.get_close_matches(base, known)) or 'none'
    raise UserError(f'tfds has no set {name}; of a similar name: {near}')
  try:
    builder = tfds.builder(name, data_dir=data_dir, file_format=file_format)
    _check_network(builder.url_infos, data_dir, manual)
    log.info('preparing %s in %s', name, builder.data_dir)
    builder.download_and_prepare(
      download_config=tfds.download.DownloadConfig(
        manual_dir=manual if manual.is_dir() else None
      )
    )
  except UserError:
    raise
  except Exception as error:  # of the network, the disk or the set's own code
    reason = ' '.join(str(error).split())[:400]
    raise UserError(f'tfds cannot prepare {name}: {reason}') from error


def _check_network(urls, data_dir: str, manual: pathlib.Path) -> None:
  """Says what to fetch by hand; tfds would try for ten minutes first."""
  if any(pathlib.Path(data_dir, 'downloads').rglob('*.INFO')):
    return  # some of it is there
  faults = []
  for url, info in urls.items():
    host = urllib.parse.urlparse(url).hostname
    path = manual / (info.filename or os.path.basename(url))
    if not path.exists() and host and not _resolves(host):
      faults.append(f'{host} cannot be reached: put {url} into {manual}')
  if faults:
    raise UserError(*faults)


def _resolves(host: str) -> bool:
  try:
    return bool(socket.getaddrinfo(host, None))
  except OSError:
    return False

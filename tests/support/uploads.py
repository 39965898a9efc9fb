"""Datasets in buckets of the test servers."""

import pathlib

from inception_jax.buckets.bucket import Bucket


def upload(folder: pathlib.Path, url: str) -> Bucket:
  """Writes the files below a folder as objects below a URL."""
  bucket = Bucket(url)
  paths = {str(p.relative_to(folder)): p for p in folder.rglob('*')}
  files = {name: path for name, path in paths.items() if path.is_file()}
  for _ in bucket.write_all(files, lambda name: files[name].read_bytes()):
    pass
  return bucket

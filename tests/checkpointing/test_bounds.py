import os
import shutil

import numpy as np
import pytest
import tensorstore

from inception_jax.checkpointing import digests
from inception_jax.checkpointing.checkpoint import DamagedCheckpoint
from tests.support.checkpoints import read_step


def test_arrays_larger_than_their_files_are_not_read(
  two_checkpoints, tmp_path, monkeypatch
):
  folder = shutil.copytree(two_checkpoints, tmp_path / 'x')
  path = folder / '7' / 'state'
  store = {'driver': 'ocdbt', 'base': f'file://{path}/', 'path': 'params.w'}
  spec = {'driver': 'zarr', 'kvstore': store}
  metadata = {'compressor': {'id': 'zstd'}, 'dtype': '<f4', 'shape': [2**26]}
  array = tensorstore.open(
    spec | {'metadata': metadata}, create=True, delete_existing=True
  ).result()
  array.write(np.zeros(2**26, np.float32)).result()  # 256 MB
  size = sum(x.stat().st_size for x in path.rglob('*') if x.is_file())
  assert size < 100_000
  monkeypatch.setattr(digests, 'check_equal', lambda *_: pytest.fail('read'))
  with pytest.raises(DamagedCheckpoint, match='declares 268435'):
    read_step(folder, 7)


def test_pipes_and_devices_are_not_read(two_checkpoints, tmp_path):
  names = [
    path.relative_to(two_checkpoints)
    for path in (two_checkpoints / '7').rglob('*')
    if path.is_file()
  ]
  assert len(names) >= 6
  for i, name in enumerate(names):
    folder = shutil.copytree(two_checkpoints, tmp_path / str(i))
    (folder / name).unlink()
    if i % 2:
      (folder / name).symlink_to('/dev/zero')
    else:
      os.mkfifo(folder / name)
    with pytest.raises(DamagedCheckpoint, match='a pipe, socket or device'):
      read_step(folder, 7)

"""The command tools.verify, while a training runs."""

import shutil

from inception_jax.checkpointing.directory import CheckpointDirectory
from inception_jax.tools import verify
from tests.support.checkpoints import save_all


def test_a_checkpoint_that_the_training_deletes_is_not_damaged(
  tmp_path, one_device
):
  save_all(tmp_path, {6: 0.1, 7: 0.2, 8: 0.3}, one_device, keep_latest=3)
  directory = CheckpointDirectory(tmp_path)
  shutil.rmtree(tmp_path / '6')
  shutil.rmtree(tmp_path / '7')
  (tmp_path / '7').symlink_to('gone')  # not by a training
  sound, reasons = verify._verify(directory)
  assert sound == [8] and reasons.keys() == {7}

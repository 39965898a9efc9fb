import pytest

from tests.support.checkpoints import save_all


@pytest.fixture(scope='module')
def two_checkpoints(tmp_path_factory, one_device):
  """A folder with the checkpoints 6 and 7."""
  folder = tmp_path_factory.mktemp('checkpoints')
  save_all(folder, {6: 0.5, 7: 0.5}, one_device)
  return folder

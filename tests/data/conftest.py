"""Fixtures of the data tests."""

import pytest

from tests.support import tfds_sets


@pytest.fixture(scope='session', params=['tfrecord', 'array_record'])
def shapes_dir(request, tmp_path_factory):
  """A folder with the dataset `shapes`, in both of tfds's file formats."""
  folder = tmp_path_factory.mktemp(request.param)
  tfds_sets.write(folder, request.param)
  return folder

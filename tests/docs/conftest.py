"""A folder in which the commands of the pages run."""

import shutil

import pytest

from tests.support import page_sandbox
from tests.support import uploads
from tests.support.forks import Fork


@pytest.fixture(scope='session')
def inputs(tmp_path_factory):
  """The folder before the first command."""
  folder = tmp_path_factory.mktemp('inputs')
  making = Fork(page_sandbox.make, folder)
  _, stderr = making.communicate()
  assert making.returncode == 0, stderr
  return folder


@pytest.fixture
def sandbox(inputs, tmp_path, google, monkeypatch):
  monkeypatch.setenv('INCEPTION_JAX_BUCKETS', str(tmp_path / 'buckets'))
  dataset = uploads.upload(inputs / 'imagenet_tfrecord', 'gs://bucket/DIR')
  dataset.write('labels.txt', b'0:background\n1:cat\n2:dog\n')
  return shutil.copytree(inputs, tmp_path / 'sandbox', symlinks=True)

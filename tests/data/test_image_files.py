"""Images that belong to no split."""

import os

import pytest

from inception_jax.data import image_files
from tests.support.image_folders import config_of
from tests.support.image_folders import write_image


def test_a_pipe_among_the_images_is_named_and_not_waited_for(tmp_path):
  write_image(tmp_path / 'a.png', 7)
  os.mkfifo(tmp_path / 'b.png')
  image, pipe = image_files.find([str(tmp_path)])
  data = config_of(tmp_path).data
  assert image_files.read(image, data).mean() == 7
  with pytest.raises(OSError, match='not a regular file'):
    image_files.read(pipe, data)

"""The benchmark of bad images."""

import json

import pytest

from benchmarks import bad_images
from benchmarks import input as input_lib
from configs import inception_v4


@pytest.mark.slow
def test_ratio_and_counts(monkeypatch):
  monkeypatch.setattr(input_lib, 'PHOTOS', 8)
  monkeypatch.setattr(input_lib, 'BATCH', 8)
  monkeypatch.setattr(bad_images, '_ONE_IN', 40)
  config = inception_v4.get_config()
  config.data.image_size = 32
  result = bad_images.measure(config, rounds=1, batches=2)
  assert (result['images'], result['bad']) == (80, 2)
  rates = result['images_per_sec']
  assert result['times_none_bad'] == pytest.approx(
    rates['some_bad'] / rates['none_bad'], rel=0.1
  )
  json.dumps(result)

import numpy as np
import pytest

from inception_jax.export import comparison
from inception_jax.export import formats
from inception_jax.export.format import Options


@pytest.mark.slow
def test_int8_ranges_come_from_the_calibration_images(weights, tmp_path):
  from ai_edge_litert import interpreter

  file_format = formats.FORMATS['litert_int8']
  images = comparison.sample_images(16, 3)
  network_input = comparison.normalize(weights.card, images)
  logits = []
  for name, calibration in {'all': images, 'dark': images // 16}.items():
    path = tmp_path / f'{name}.tflite'
    file_format.save(weights, str(path), 5, Options(calibration))
    (first, *_) = interpreter.Interpreter(str(path)).get_input_details()
    assert first['dtype'] == np.float32
    assert list(first['shape']) == [1, 16, 16, 3]
    artifact = formats.load(str(path))
    differences = comparison.compare(weights, artifact.run, calibration)
    assert differences['relative_diff'] < 0.05
    logits.append(artifact.classify(network_input))
  assert not np.allclose(*logits)

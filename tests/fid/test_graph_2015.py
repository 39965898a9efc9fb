"""The command's features, against TensorFlow that runs the graph of 2015."""

import dataclasses

import numpy as np
from PIL import Image
import pytest

from inception_jax.config import defaults
from inception_jax.fid import extraction
from inception_jax.fid import networks
from inception_jax.fid import sources
from inception_jax.weights import importer
from tests.support import graph_2015

WIDTH, SIZE = 1 / 8, 107  # the last grid is 2×2
# Features → the node that torch-fidelity or guided-diffusion's evaluator reads.
# Of published graphs, `mixed_6/conv` is the activation itself.
NODES = {
  networks.POOLED: graph_2015.FEATURES,
  networks.LOGITS: graph_2015.LOGITS,
  networks.SPATIAL: 'mixed_6/conv/Relu',
}


@pytest.mark.slow
def test_features_are_tensorflows(tmp_path, monkeypatch, eight_devices):
  narrow = tuple(
    dataclasses.replace(source, overrides={'width': WIDTH})
    for source in importer.SOURCES
    if source.framework == 'TensorFlow'
  )
  monkeypatch.setattr(importer, 'SOURCES', narrow)
  graph = graph_2015.graph_def(SIZE, WIDTH)
  path = tmp_path / 'classify_image_graph_def.pb'
  path.write_bytes(graph.SerializeToString())
  weights = importer.load(str(path))
  card = dataclasses.replace(weights.card, input_size=SIZE)
  weights = dataclasses.replace(weights, card=card)
  network = networks.of_mode(weights, 'legacy_tensorflow')

  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (9, 70, 50, 3), np.uint8)
  (tmp_path / 'images').mkdir()
  for i, image in enumerate(images):
    Image.fromarray(image).save(tmp_path / 'images' / f'{i}.png')
  split = sources.load(str(tmp_path / 'images'), defaults.get_config())
  rows = {name: [] for name in NODES}
  sinks = {name: own.append for name, own in rows.items()}
  extractor = extraction.Extraction(network, tuple(NODES), eight_devices, 1)
  assert extractor.run(split, sinks, 'images').count == 9

  bias = weights.variables['params']['head']['dense']['bias']
  for name, node in NODES.items():
    expected = graph_2015.run(graph, images, node)
    if name == networks.LOGITS:
      expected = expected - bias
    if name == networks.SPATIAL:
      expected = expected[..., :7].reshape(9, -1)
    found = np.concatenate(rows[name])
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()

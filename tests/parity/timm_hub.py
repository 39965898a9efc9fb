"""Loads folders of `tools.export --format=hub` by timm, and compares logits.

  .venv-torch/bin/python -m tests.parity.timm_hub

By `local-dir:`, and by `hf-hub:` from a hub on localhost. timm's transform of a
photograph is compared with ours. Prints a table; the exit status is 1 if a
difference exceeds its bound.
"""

import dataclasses
import io
import pathlib
import sys
import tempfile

from huggingface_hub import constants
import numpy as np
from PIL import Image
from sklearn import datasets
import timm
import torch

from inception_jax.data import decode
from inception_jax.export import formats
from inception_jax.models import architectures
from inception_jax.models import card as card_lib
from inception_jax.models.card import Card
from inception_jax.weights import sources
from inception_jax.weights.convert import Weights
from tests.parity import cases
from tests.parity import formula
from tests.support import hub
from tests.support.pictures import random_variables

SIZE = 171
NAME = 'owner/network'
# Channels, the card's fields that differ from timm's own, and the bound of the
# mean difference of pixels: timm lacks 'central', and 'squash' is its nearest.
KINDS = {
  'inception_v3': (3, {}, 0.01),
  'inception_v4': (3, {'crop_mode': 'central'}, 4.0),
  'inception_resnet_v2': (1, {'crop_mode': 'squash'}, 0.01),
}


def make_weights(name: str, channels: int, card: dict) -> Weights:
  source = sources.TIMM[name]
  network = source.network_config(cases.NUM_CLASSES, aux_head=False)
  card = dataclasses.replace(
    source.card,
    input_size=SIZE,
    mean=(100.0, 110.0, 120.0)[:channels],
    std=(60.0, 50.0, 70.0)[:channels],
    **card,
  )
  model = architectures.create(network)
  variables = random_variables(model, SIZE, channels=channels)
  return Weights(name, network, card, variables)


def transform_difference(model, card: Card) -> float:
  """Returns the mean difference of timm's pixels from ours, in levels."""
  import tensorflow as tf  # before torch, it crashes

  config = timm.data.resolve_model_data_config(model)
  assert list(config['input_size']) == [len(card.mean), SIZE, SIZE], config
  transform = timm.data.create_transform(**config, is_training=False)
  image = Image.fromarray(datasets.load_sample_images().images[0])
  if len(card.mean) == 1:
    image = image.convert('L')
  file = io.BytesIO()
  image.save(file, 'png')
  ours = decode.eval_image(
    tf.constant(file.getvalue()), card_lib.to_config(card)
  )
  theirs = transform(image).numpy().transpose(1, 2, 0) * card.std + card.mean
  return float(np.abs(theirs - np.asarray(ours)).mean())


def check(name: str, folder: pathlib.Path) -> tuple[float, float]:
  """Returns the relative difference of logits, and that of the pixels."""
  channels, card, _ = KINDS[name]
  weights = make_weights(name, channels, card)
  path = folder / 'network'
  formats.FORMATS['hub'].save(weights, str(path), 0)
  images = formula.images(2, SIZE)[..., :channels]
  model = architectures.create(weights.network)
  expected = np.asarray(model.apply(weights.variables, images)[0])
  files = {x.name: x.read_bytes() for x in path.iterdir()}
  differences = []
  with hub.serve({NAME: {'main': files}}) as (address, requests):
    constants.ENDPOINT = address
    template = address + '/{repo_id}/resolve/{revision}/{filename}'
    constants.HUGGINGFACE_CO_URL_TEMPLATE = template
    constants.HF_HUB_CACHE = str(folder / 'cache')
    for reference in (f'local-dir:{path}', f'hf-hub:{NAME}'):
      loaded = timm.create_model(reference, pretrained=True).eval()
      with torch.no_grad():
        nchw = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
        found = loaded(nchw).numpy()
      largest = np.abs(expected).max()
      differences.append(float(np.abs(found - expected).max() / largest))
    assert any('safetensors' in path for _, path in requests)
  return max(differences), transform_difference(loaded, weights.card)


def main() -> int:
  wrong = False
  print('| network | logits | pixels, of 255 |\n|---|---|---|')
  for name in KINDS:
    with tempfile.TemporaryDirectory() as folder:
      logits, pixels = check(name, pathlib.Path(folder))
    wrong |= not (logits <= cases.LOGITS and pixels <= KINDS[name][2])
    print(f'| {name} | {logits:.1e} | {pixels:.3f} |', flush=True)
  return int(wrong)


if __name__ == '__main__':
  sys.exit(main())

"""The page serving/web on a server, and what Python says to the same images."""

import base64
import contextlib
import dataclasses
import functools
from http import server
import io
import json
import threading

import jax
import numpy as np
from PIL import Image
from scipy import special
from sklearn import datasets
import tensorflow as tf

from inception_jax.data import decode
from inception_jax.export import artifact as artifact_lib
from inception_jax.export import comparison
from inception_jax.export import metadata
from inception_jax.models import card as card_lib
from inception_jax.models import factory
from inception_jax.weights.convert import Weights
from tests.support.commands import ROOT
from tests.support.pictures import digits_network
from tests.support.pictures import trained

PAGE = ROOT / 'serving' / 'web'
CLASSES = ('<b>cat</b>', '狗 & dog', 'hare', 'newt', 'toad')  # of six outputs
CARD = card_lib.Card(
  64, mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 50.0)
)
CARDS = {
  'network': CARD,
  'bicubic': dataclasses.replace(CARD, interpolation='bicubic'),
  'short': dataclasses.replace(CARD, crop_mode='short_side'),
  'short_bicubic': dataclasses.replace(
    CARD, crop_mode='short_side', interpolation='bicubic', crop_fraction=0.9
  ),
  'squash_area': dataclasses.replace(
    CARD, crop_mode='squash', interpolation='area'
  ),
  'nearest': dataclasses.replace(CARD, interpolation='nearest'),
  'grey': card_lib.Card(64, mean=(100.0,), std=(60.0,)),
}
STRANGE = {
  'future.onnx': 'card.interpolation="lanczos"',
  'none.onnx': 'it has no card',
  'text.onnx': 'not an ONNX file',
  'cut.onnx': 'not an ONNX file',
}


def exported(path, channels):
  """A network that tells photographs apart."""
  card = CARDS['grey'] if channels == 1 else CARD
  arguments = {
    'name': 'tiny',
    'num_classes': 6,
    'stem': 'small',
    'width': 1.0,
    'aux_head': False,
    'aux_batch_norm': False,
    'head_batch_norm': False,
  }
  model = factory.create(**arguments, card=card)
  images = np.zeros((1, 64, 64, channels), np.float32)
  variables = jax.jit(model.init)(jax.random.key(0), images)
  variables = trained(variables, 0, 1.5)
  weights = Weights('test', arguments, card, variables, CLASSES)
  artifact_lib.save(weights, str(path), 'onnx', 0)


def with_card(source, path, **changes):
  import onnx

  model = onnx.load(source)
  (says,) = model.metadata_props
  values = json.loads(says.value)
  values['card'].update(changes)
  says.value = json.dumps(values)
  assert says.key == metadata.KEY
  onnx.save(model, path)


def write_site(root, base):
  """The page's folder, with networks beside it; `base` has what they share."""
  import onnx

  made = (PAGE / 'vendor' / 'ready').exists()
  assert made, f'{PAGE}/vendor is missing: make web'
  for path in PAGE.iterdir():
    if path.suffix in ('.html', '.css', '.js') or path.name == 'vendor':
      (root / path.name).symlink_to(path)
  base = {channels: base / f'{channels}.onnx' for channels in (1, 3)}
  for channels, path in base.items():
    exported(path, channels)
  for name, card in CARDS.items():
    source = base[len(card.mean)]
    with_card(source, root / f'{name}.onnx', **dataclasses.asdict(card))
  with_card(base[3], root / 'future.onnx', interpolation='lanczos')
  bare = onnx.load(base[3])
  del bare.metadata_props[:]
  onnx.save(bare, root / 'none.onnx')
  artifact_lib.save(digits_network(), str(root / 'digits.onnx'), 'onnx', 0)
  (root / 'text.onnx').write_text('<!doctype html><p>not found')
  (root / 'cut.onnx').write_bytes(base[3].read_bytes()[:-1000])


def write_photographs(root):
  """JPEGs, one of which says how to turn it; PNGs, one with hidden colours."""
  first, second = datasets.load_sample_images().images
  paths = [root / name for name in ('a.jpg', 'b.jpg', 'c.png', 'd.png')]
  Image.fromarray(first).save(paths[0], quality=90)
  exif = Image.Exif()
  exif[0x0112] = 6  # lay the camera on its side
  Image.fromarray(second[:401]).save(paths[1], quality=80, exif=exif)
  Image.fromarray(second[30:331, 200:403]).save(paths[2])
  alpha = np.tile(np.arange(0, 256, dtype=np.uint8), (200, 1))
  rgba = np.dstack([first[100:300, 200:456], alpha])
  Image.fromarray(rgba).save(paths[3])
  return paths


def in_python(site, photographs, networks=tuple(CARDS)):
  """Of each network and photograph: pixels and probabilities in Python."""
  found = {}
  for name in networks:
    artifact = artifact_lib.load(str(site / f'{name}.onnx'))
    card = artifact.card
    data = card_lib.data_of(card)
    encoded = [tf.constant(path.read_bytes()) for path in photographs]
    pixels = np.stack([decode.eval_image(x, data).numpy() for x in encoded])
    images = comparison.normalised(card, pixels)
    found[name] = pixels, special.softmax(artifact.classify(images), axis=1)
  return found


class Quiet(server.SimpleHTTPRequestHandler):
  def log_message(self, *args):
    pass


@contextlib.contextmanager
def served(root):
  handler = functools.partial(Quiet, directory=str(root))
  with server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as httpd:
    threading.Thread(target=httpd.serve_forever).start()
    try:
      yield f'http://127.0.0.1:{httpd.server_port}/'
    finally:
      httpd.shutdown()


def wait(page, status):
  page.locator('#status', has_text=status).wait_for(timeout=15_000)


def results(page):
  """Of each image: its name, its state, its guesses, its picture."""
  return page.locator('article').evaluate_all("""cards => cards.map(card => ({
    name: card.querySelector('h2').textContent,
    state: card.querySelector('.state').textContent,
    guesses: Array.from(card.querySelectorAll('li'), line => [
      line.querySelector('span').textContent,
      Number(line.querySelector('data').value),
      line.querySelector('data').textContent,
    ]),
    picture: card.querySelector('canvas').toDataURL(),
  }))""")


def pixels_of(found):
  encoded = found['picture'].partition(',')[2]
  with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
    return np.asarray(image.convert('RGB')).astype(int)

"""Serves serving/web, and computes its expected results in Python."""

import base64
import contextlib
import dataclasses
import functools
from http import server
import io
import json
import struct
import threading
from urllib import parse

import jax
import numpy as np
from PIL import Image
from scipy import special
from sklearn import datasets
import tensorflow as tf

from inception_jax.data import decode
from inception_jax.export import comparison
from inception_jax.export import formats
from inception_jax.export import metadata
from inception_jax.export.format import Options
from inception_jax.models import architectures
from inception_jax.models import card as card_lib
from inception_jax.weights.convert import Weights
from tests.support.commands import ROOT
from tests.support.pictures import digits_weights
from tests.support.pictures import perturb

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
    CARD, crop_mode='squash', interpolation='area', exif='apply'
  ),
  'nearest': dataclasses.replace(CARD, interpolation='nearest'),
  'over': dataclasses.replace(
    CARD, interpolation='nearest', background='#c0ffee'
  ),
  'mindspore': dataclasses.replace(
    CARD, crop_mode='mindspore_short_side', interpolation='opencv_bilinear'
  ),
  'slim': dataclasses.replace(
    CARD, crop_mode='tf_central', interpolation='tf1_bilinear'
  ),
  'grey': card_lib.Card(64, mean=(100.0,), std=(60.0,)),
}
INVALID_NETWORKS = {
  'future.onnx': 'card.interpolation="lanczos"',
  'none.onnx': 'no metadata',
  'text.onnx': 'not an ONNX file',
  'cut.onnx': 'not an ONNX file',
}


def export(path, channels, preprocess=False):
  """Exports a network whose output differs between photographs."""
  card = CARDS['grey'] if channels == 1 else CARD
  network = architectures.published('tiny', 6)
  model = architectures.create(network)
  images = np.zeros((1, 64, 64, channels), np.float32)
  variables = jax.jit(model.init)(jax.random.key(0), images)
  variables = perturb(variables, 0, 1.5)
  weights = Weights('test', network, card, variables, CLASSES)
  # The page takes the logits.
  options = Options(
    outputs=('logits', 'mixed_2a'),
    preprocess=preprocess,
    precision='float16' if channels == 1 else 'float32',
  )
  formats.FORMATS['onnx'].save(weights, str(path), 0, options)


def with_card(source, path, *, name='tiny', classes=CLASSES, **changes):
  """Copies an ONNX file with changes to its metadata and, above all, card."""
  import onnx

  model = onnx.load(source)
  (entry,) = model.metadata_props
  values = json.loads(entry.value)
  values['model']['name'] = name
  values['classes'] = classes
  values['card'].update(changes)
  entry.value = json.dumps(values)
  assert entry.key == metadata.KEY
  onnx.save(model, path)


def write_site(root, base):
  """Writes the page and its networks to `root`; `base` gets their weights."""
  import onnx

  made = (PAGE / 'vendor' / 'ready').exists()
  assert made, f'{PAGE}/vendor is missing: make web'
  for path in PAGE.iterdir():
    if path.suffix in ('.html', '.css', '.js') or path.name == 'vendor':
      (root / path.name).symlink_to(path)
  base = {channels: base / f'{channels}.onnx' for channels in (1, 3)}
  for channels, path in base.items():
    export(path, channels)
  normalizing = base[3].with_name('normalizing.onnx')
  export(normalizing, 3, preprocess=True)
  for name, card in CARDS.items():
    source = normalizing if name == 'bicubic' else base[len(card.mean)]
    with_card(source, root / f'{name}.onnx', **dataclasses.asdict(card))
  with_card(base[3], root / 'future.onnx', interpolation='lanczos')
  # Metadata that no export writes.
  with_card(base[3], root / 'long.onnx', classes=['x' * 100_000])
  with_card(base[3], root / 'wide.onnx', input_size=30_000)
  with_card(base[3], root / 'named.onnx', name={'x': 'x' * 100_000})
  bare = onnx.load(base[3])
  del bare.metadata_props[:]
  onnx.save(bare, root / 'none.onnx')
  digits = str(root / 'digits.onnx')
  formats.FORMATS['onnx'].save(digits_weights(), digits, 0)
  (root / 'text.onnx').write_text('<!doctype html><p>not found')
  (root / 'cut.onnx').write_bytes(base[3].read_bytes()[:-1000])


def write_photographs(root):
  """Two JPEGs, one with EXIF orientation, two PNGs and a GIF.

  One of the PNGs has alpha; the GIF has clear pixels and a larger canvas.
  """
  first, second = datasets.load_sample_images().images
  names = 'a.jpg', 'b.jpg', 'c.png', 'd.png', 'e.gif'
  paths = [root / name for name in names]
  Image.fromarray(first).save(paths[0], quality=90)
  exif = Image.Exif()
  exif[0x0112] = 6  # orientation: rotate by 90°
  Image.fromarray(second[:401]).save(paths[1], quality=80, exif=exif)
  Image.fromarray(second[30:331, 200:403]).save(paths[2])
  alpha = np.tile(np.arange(0, 256, dtype=np.uint8), (200, 1))
  rgba = np.dstack([first[100:300, 200:456], alpha])
  Image.fromarray(rgba).save(paths[3])
  palette = Image.fromarray(second[:200, :256]).quantize(32)
  palette.save(paths[4], transparency=5)
  gif = bytearray(paths[4].read_bytes())
  gif[6:10] = struct.pack('<HH', 280, 210)  # the canvas
  paths[4].write_bytes(gif)
  return paths


def decode_accurately(encoded):
  """Returns an image as browsers decode it; others than JPEGs as they are."""
  if tf.io.is_jpeg(encoded):
    return tf.io.decode_jpeg(encoded, 3, dct_method='INTEGER_ACCURATE')
  return encoded


def expected_results(site, photographs, networks=tuple(CARDS)):
  """Returns {network: (pixels, probabilities) of every photograph}."""
  expected = {}
  for name in networks:
    # `with_card` changes the digest.
    artifact = formats.load(str(site / f'{name}.onnx'), trust=True)
    card = artifact.card
    data = card_lib.to_config(card)
    images = [tf.constant(path.read_bytes()) for path in photographs]
    if card.interpolation == 'tf1_bilinear':
      # Of JPEGs, the levels that browsers decode.
      images = [decode_accurately(x) for x in images]
    pixels = np.stack([decode.eval_image(x, data).numpy() for x in images])
    images = comparison.normalize(card, pixels)
    probabilities = special.softmax(artifact.classify(images), axis=1)
    expected[name] = pixels, probabilities
  return expected


class _QuietHandler(server.SimpleHTTPRequestHandler):
  def log_message(self, *args):
    pass

  def do_GET(self):
    """Answers redirect.onnx?to=URL by a redirect."""
    path, _, target = self.path.partition('?to=')
    if path != '/redirect.onnx':
      return super().do_GET()
    self.send_response(302)
    self.send_header('Location', parse.unquote(target))
    self.end_headers()


@contextlib.contextmanager
def serve(root):
  """Yields the address of a server of the folder `root`."""
  handler = functools.partial(_QuietHandler, directory=str(root))
  with server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as httpd:
    threading.Thread(target=httpd.serve_forever).start()
    try:
      yield f'http://127.0.0.1:{httpd.server_port}/'
    finally:
      httpd.shutdown()


def wait(page, status):
  """Waits until the page shows this status."""
  page.locator('#status', has_text=status).wait_for(timeout=15_000)


def results(page):
  """Returns name, state, top classes and picture of each image on the page."""
  return page.locator('article').evaluate_all("""cards => cards.map(card => ({
    name: card.querySelector('h2').textContent,
    state: card.querySelector('.state').textContent,
    top: Array.from(card.querySelectorAll('li'), line => [
      line.querySelector('span').textContent,
      Number(line.querySelector('data').value),
      line.querySelector('data').textContent,
    ]),
    picture: card.querySelector('canvas').toDataURL(),
  }))""")


def pixels_of(result):
  """Returns the picture of one of `results`, int [H, W, 3]."""
  encoded = result['picture'].partition(',')[2]
  with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
    return np.asarray(image.convert('RGB')).astype(int)

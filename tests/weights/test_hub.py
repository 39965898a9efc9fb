"""Weights from a hub of Hugging Face on localhost, and from its folders."""

import dataclasses
import json

from huggingface_hub import constants
import jax
import numpy as np
import pytest

import inception_jax
from inception_jax.errors import UserError
from inception_jax.weights import exporter
from inception_jax.weights import hub as hub_lib
from inception_jax.weights import importer
from tests.parity import cases
from tests.support import commands
from tests.support import hub

NAMES = [f'n{i:08}' for i in range(cases.NUM_CLASSES)]
# As timm's save_for_hf writes it.
CONFIG = {
  'architecture': 'inception_v3',
  'num_classes': cases.NUM_CLASSES,
  'pretrained_cfg': {
    'input_size': [3, 310, 310],
    'interpolation': 'bilinear',
    'crop_pct': 0.95,
    'crop_mode': 'squash',
    'mean': [0.485, 0.456, 0.406],
    'std': [0.5, 0.25, 0.2],
  },
  'label_names': NAMES,
}


@pytest.fixture(scope='module')
def weights(timm_v3, tmp_path_factory) -> bytes:
  path = tmp_path_factory.mktemp('weights') / 'v3.safetensors'
  exporter.save(timm_v3, str(path), 'timm')
  return path.read_bytes()


@pytest.fixture
def endpoint(weights, tmp_path, monkeypatch):
  files = {
    'config.json': json.dumps(CONFIG).encode(),
    'model.safetensors': weights,
  }
  plain = files | {'config.json': b'{"architecture": "inception_v3"}'}
  repositories = {
    'owner/v3.test': {'main': files, 'v1': plain},
    'owner/empty': {'main': {'config.json': b'{}', 'README.md': b''}},
    'owner/bare': {'main': {'model.safetensors': weights}},
  }
  with hub.serve(repositories) as (address, requests):
    use(monkeypatch, address, tmp_path / 'cache')
    yield address, requests


def use(monkeypatch, address: str, cache, offline: bool = False) -> None:
  """Sets what the client has read from the environment."""
  monkeypatch.setattr(constants, 'ENDPOINT', address)
  template = address + '/{repo_id}/resolve/{revision}/{filename}'
  monkeypatch.setattr(constants, 'HUGGINGFACE_CO_URL_TEMPLATE', template)
  monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(cache))
  monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', offline)


@pytest.mark.slow
def test_weights_card_and_names_come_from_the_hub(endpoint, timm_v3):
  loaded = importer.load('hf-hub:owner/v3.test')
  jax.tree.map(
    np.testing.assert_array_equal, loaded.variables, timm_v3.variables
  )
  assert loaded.classes == tuple(NAMES)
  card = loaded.card
  assert (card.input_size, card.crop_mode) == (310, 'central')
  assert (card.crop_fraction, card.interpolation) == (0.95, 'bilinear')
  np.testing.assert_allclose(card.mean, (123.675, 116.28, 103.53))
  np.testing.assert_allclose(card.std, (127.5, 63.75, 51.0))


def test_a_network_for_grey_images_has_one_mean(timm_v3, tmp_path):
  (tmp_path / 'config.json').write_text(json.dumps(CONFIG))
  card = dataclasses.replace(timm_v3.card, mean=(127.5,), std=(127.5,))
  weights = dataclasses.replace(timm_v3, card=card)
  card = hub_lib.described(weights, str(tmp_path / 'x.safetensors')).card
  np.testing.assert_allclose((card.mean, card.std), ([114.495], [80.75]))


@pytest.mark.slow
def test_a_revision_is_its_own_and_the_cache_serves_offline(
  endpoint, monkeypatch, tmp_path, timm_v3
):
  _, requests = endpoint
  loaded = importer.load('hf-hub:owner/v3.test@v1')
  assert loaded.card == timm_v3.card and not loaded.classes
  del requests[:]
  importer.load('hf_hub:owner/v3.test@v1')
  # Whether the branch has moved, and nothing else.
  assert not [r for r in requests if 'safetensors' in r[1]]
  use(monkeypatch, 'http://localhost:9', tmp_path / 'cache', offline=True)
  assert importer.load('hf-hub:owner/v3.test@v1').card == timm_v3.card
  with pytest.raises(UserError, match='not in the cache'):
    importer.load('hf-hub:owner/v3.test')


@pytest.mark.parametrize(
  ('reference', 'reason'),
  [
    ('hf-hub:owner/none', 'no such repository, or it is private'),
    ('hf-hub:owner/empty@v9', 'no revision v9'),
    ('hf-hub:owner/empty', 'none of model.safetensors, .*pytorch_model.bin'),
    ('hf-hub:owner/bare', 'has no config.json'),
    ('hf-hub:v3', 'expected hf-hub:OWNER/NAME'),
    ('hf-hub:../../etc', 'expected hf-hub:OWNER/NAME'),
    ('hf-hub:owner/..', "name cannot start or end with.*'owner/..'"),
    ('https://localhost/v3.safetensors', 'download the file first'),
    ('gs://bucket/v3.safetensors', 'download the file first'),
  ],
)
def test_what_is_missing_is_said(endpoint, reference, reason):
  with pytest.raises(UserError, match=reason) as error:
    importer.load(reference)
  assert len(error.value.faults) == 1 and reference in error.value.faults[0]


def test_other_urls_are_refused():
  with pytest.raises(UserError, match='download the file first'):
    inception_jax.load_pretrained('https://localhost/v3.safetensors')


@pytest.mark.slow
def test_a_folder_of_the_hub(tmp_path, weights, timm_v3):
  folder = tmp_path / 'model'
  folder.mkdir()
  (folder / 'model.safetensors').write_bytes(weights)
  with pytest.raises(UserError, match=r'neither .* config\.json'):
    inception_jax.load_pretrained(str(folder))
  (folder / 'config.json').write_text(json.dumps(CONFIG))
  loaded = inception_jax.load_pretrained(str(folder))
  assert loaded.card.input_size == 310
  jax.tree.map(
    np.testing.assert_array_equal, loaded.variables, timm_v3.variables
  )
  wrong = {'interpolation': 'lanczos', 'crop_mode': 'border', 'std': [0, 1, 1]}
  config = CONFIG | {'pretrained_cfg': CONFIG['pretrained_cfg'] | wrong}
  (folder / 'config.json').write_text(json.dumps(config))
  with pytest.raises(UserError) as error:
    inception_jax.load_pretrained(str(folder))
  for part in ('lanczos', 'border', 'card.std'):
    assert part in str(error.value)
  for names in (5, 'abc', {'a': 1}, NAMES[:-1]):
    (folder / 'config.json').write_text(json.dumps({'label_names': names}))
    assert importer.load(str(folder)).classes == ()
  for content in ('', '[]', '{"pretrained_cfg": 1}', '[' * 9999):
    (folder / 'config.json').write_text(content)
    with pytest.raises(UserError, match=r'config\.json is no config of timm'):
      inception_jax.load_pretrained(str(folder))


@pytest.mark.slow
def test_the_command_takes_the_address_from_the_environment(
  endpoint, monkeypatch, tmp_path
):
  address, _ = endpoint
  monkeypatch.setenv('HF_ENDPOINT', address)
  monkeypatch.setenv('HF_HUB_CACHE', str(tmp_path / 'other'))
  imported = commands.run(
    '--weights=hf-hub:owner/v3.test',
    f'--output={tmp_path / "imported"}',
    program=('-m', 'inception_jax.tools.import_weights'),
  )
  assert imported.returncode == 0, imported.stderr
  assert json.loads(imported.stdout)['card']['crop_mode'] == 'central'
  assert (tmp_path / 'other').is_dir()

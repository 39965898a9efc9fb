"""CONTRIBUTING.md: its names exist, its ways are taken, its recipes work."""

import importlib.util
import inspect
import itertools
import pkgutil
import re
import sys
import threading
import types

import jax
from jax import export as jax_export
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs import default
from inception_jax.checkpointing import lookup
from inception_jax.config import serialization
from inception_jax.data import config_check
from inception_jax.data import pipeline
from inception_jax.data import splits
from inception_jax.data.augment import transforms
from inception_jax.data.sources import registry
from inception_jax.errors import RunError
from inception_jax.errors import UserError
from inception_jax.evaluation import evaluate
from inception_jax.export import evaluation as export_evaluation
from inception_jax.export import formats
from inception_jax.export import operations
from inception_jax.models import architectures
from inception_jax.models import factory
from inception_jax.models import specs
from inception_jax.models.card import Card
from inception_jax.models.specs import conv
from inception_jax.models.specs import mixed
from inception_jax.runtime import preemption
from inception_jax.training import optimizer
from inception_jax.training import preflight
from inception_jax.weights import pretrained
from tests import test_house
from tests.support.checkpoints import read_with_orbax
from tests.support.commands import ROOT
from tests.support.runs import assert_equal_states
from tests.support.runs import metrics
from tests.support.runs import train
from tests.support.tiny import tiniest_config

TEXT = (ROOT / 'CONTRIBUTING.md').read_text()
WAYS = (
  'The way of a batch',
  'The way of a checkpoint',
  'The way of an evaluation',
)
# Every config key, and every group of them.
KEYS = {
  'config.' + '.'.join(parts[:n])
  for key, _ in serialization.flatten(default.get_config())
  for parts in [key.split('.')]
  for n in range(1, len(parts) + 1)
}
# The targets are the words before a colon at the start of a line.
TARGETS = set(
  re.findall(r'^([a-z][a-z0-9-]*)(?=:)', (ROOT / 'Makefile').read_text(), re.M)
)


def sections():
  """Returns {title: text}."""
  parts = re.split(r'^## (.+)\n', TEXT, flags=re.M)[1:]
  return dict(zip(parts[::2], parts[1::2], strict=True))


def names_in(text):
  """Returns what is in backticks, outside of code blocks."""
  return re.findall(r'`([^`]+)`', re.sub(r'```.*?```', '', text, flags=re.S))


def find(name):
  """Returns the object of a dotted name; raises if there is none."""
  try:
    return pkgutil.resolve_name(f'inception_jax.{name}')
  except (ImportError, AttributeError):
    return pkgutil.resolve_name(name)


def exists(name):
  """Returns whether a name in backticks is that of anything."""
  word, *rest = name.split()
  if word == 'make':
    return rest[0] in TARGETS
  if word == 'python':
    return rest[0] == '-m' and importlib.util.find_spec(rest[1]) is not None
  if rest:
    return exists(word) and all(part.startswith('--') for part in rest)
  if any((base / name).exists() for base in (ROOT, ROOT / 'inception_jax')):
    return True
  if name in KEYS or name in test_house.ROOMS:
    return True
  if '/' in name or '.' not in name:
    return False
  try:
    find(name)
  except (ImportError, AttributeError, ValueError):
    return False
  return True


def test_every_name_exists():
  names = set(names_in(TEXT))
  assert len(names) > 100
  assert [name for name in sorted(names) if not exists(name)] == []
  commands = re.findall(r'^make ([\w-]+)', TEXT, re.M)
  assert commands and set(commands) <= TARGETS


@pytest.mark.parametrize(
  'name',
  [
    'training/lop.py',
    'training.lop.train',
    'training.loop.tarin',
    'training.session.Session.sav_if_due',
    'config.data.sauce',
    'optax.scale_by_learning_race',
    'make tests',
    'python -m tests.support.tinny',
    'main.py mode',
    'train',
  ],
)
def test_names_that_do_not_exist_are_noticed(name):
  assert not exists(name)


def test_the_map_is_that_of_the_imports():
  rows = re.findall(r'^\| `(\w+)` \| .+ \| (.*)\|$', TEXT, re.M)
  assert [room for room, _ in rows] == list(test_house.ROOMS)
  stated = {room: set(re.findall(r'\w+', cell)) for room, cell in rows}
  for i, room in enumerate(test_house.ROOMS):
    assert stated[room] <= set(test_house.ROOMS[:i]), room
  for path in test_house.MODULES:
    room = test_house.room(path)
    names = [name.split('.') for name in test_house.imported(path)]
    names = [name for name in names if name[1:]]
    used = {name[1] for name in names if name[0] == 'inception_jax'} - {room}
    if room in stated:
      assert used <= stated[room], path


def test_it_stays_short():
  assert len(TEXT.splitlines()) < 300
  for title, text in sections().items():
    assert len(text.splitlines()) < 40, title


def interrupt(monkeypatch, step):
  """Simulates a signal during a step."""
  steps = itertools.count(1)
  monkeypatch.setattr(preemption, 'requested', lambda: next(steps) >= step)


def codes_of(name):
  """Returns the code objects of a function, or of a class's special methods."""
  value = find(name)
  methods = [value]
  if inspect.isclass(value):
    methods = [vars(value).get(m) for m in ('__init__', '__call__')]
  functions = [inspect.unwrap(m) for m in methods if callable(m)]
  return {f.__code__ for f in functions if hasattr(f, '__code__')}


@pytest.fixture(scope='module')
def followed(tmp_path_factory, one_device):
  """A run that was stopped, damaged, resumed and evaluated.

  Returns (workdir, config, result, the code objects called in it).

  Its batch size is that of no other test, since jax traces a function once.
  """
  workdir, codes = tmp_path_factory.mktemp('run'), set()
  config = tiniest_config()
  config.batch_size = 12
  config.train_for = config.eval_every = '4 steps'
  config.checkpoint_every = config.log_every = '1 step'
  config.checkpoint_keep = 2

  def record(frame, event, arg):
    if event == 'call':
      codes.add(frame.f_code)

  threading.setprofile(record)
  sys.setprofile(record)
  try:
    with pytest.MonkeyPatch.context() as patch:
      interrupt(patch, 3)
      with pytest.raises(preemption.Preempted):
        train(workdir, config, one_device)
    newest = lookup.checkpoint_folder(str(workdir)) / '3'
    (newest / 'record' / 'metadata').write_text('{}')
    result = train(workdir, config, one_device)
    mirrored = config.copy_and_resolve_references()
    mirrored.data.eval_protocol = 'mirror'
    options = evaluate.Options(output=str(workdir / 'output'))
    evaluate.evaluate(mirrored, str(workdir), one_device, options)
  finally:
    sys.setprofile(None)
    threading.setprofile(None)
  return workdir, config, result, codes


@pytest.mark.parametrize('way', WAYS)
def test_each_way_is_taken(followed, way):
  *_, called = followed
  _, _, steps = sections()[way].partition('\n1. ')
  dotted = [name for name in names_in(steps) if re.fullmatch(r'[\w.]+', name)]
  functions = {
    name: codes
    for name in dotted
    if name not in KEYS and (codes := codes_of(name))
  }
  assert len(functions) > 10
  assert [n for n, codes in functions.items() if not codes & called] == []
  # Not every function is called.
  assert not codes_of('evaluation.follow.follow') & called


def test_every_how_to_has_a_test():
  titles = [title for title in sections() if title.startswith('How to')]
  assert len(titles) == 5
  for title in titles:
    assert callable(globals()[f'test_{title.lower().replace(" ", "_")}'])


def few_steps(config):
  config.train_for = config.eval_every = '3 steps'
  config.log_every = '1 step'
  return config


def params_of(workdir, step):
  return read_with_orbax(workdir, step)['params']


def scores_of(result):
  return {k: x for k, x in result.items() if k != 'images_per_sec'}


@pytest.mark.slow
def test_how_to_add_a_network(monkeypatch, tmp_path, one_device):
  config = few_steps(default.get_config())
  config.model.name = 'added'
  config.batch_size = 16
  (fault,) = factory.check(config)
  assert fault.startswith("model.name='added': expected one of inception_v3")
  network = specs.Architecture(
    stems={'small': (('conv_1a', conv(8, 3, **specs.DOWN)),)},  # 7×7×8
    body=(('mixed_2a', mixed(conv(8), (specs.MAX_POOL, conv(16, 1, 3)))),),
    card=Card(input_size=16),
  )
  monkeypatch.setitem(architectures.ARCHITECTURES, 'added', network)
  preflight.check(config, str(tmp_path), train=True)
  result = train(tmp_path / 'run', config, one_device)
  assert result['count'] == 360
  options = evaluate.Options(('latest',))
  again = evaluate.evaluate(config, str(tmp_path / 'run'), one_device, options)
  assert again.result == scores_of(result)

  _, weights = pretrained.restore('', str(tmp_path / 'run'), one_device)
  assert weights.network.name == 'added'
  path = str(tmp_path / 'added.stablehlo')
  run = formats.FORMATS['stablehlo'].save(weights, path, 3)
  differences = formats.FORMATS['stablehlo'].compare(weights, run)
  formats.check_bound('stablehlo', differences)


def load_stripes(config, split):
  """Horizontal stripes, vertical ones, and none."""
  size = {'train': 60, 'test': 31}[split]
  images = np.zeros((size, 16, 16, 1), np.uint8)
  images[0::3, ::2] = images[1::3, :, ::2] = 255
  return splits.from_arrays(
    images, np.arange(size) % 3, ('row', 'column', 'no')
  )


@pytest.mark.slow
def test_how_to_add_a_data_source(monkeypatch, tmp_path, one_device):
  config = few_steps(tiniest_config())
  config.data.source = 'stripes'
  (fault,) = preflight.of_config(config)
  assert fault.startswith("data.source='stripes': expected one of digits")
  check = lambda config: splits.check_splits(config, ('train', 'test'))
  source = registry.Source(load_stripes, check)
  monkeypatch.setitem(registry.SOURCES, 'stripes', source)
  preflight.check(config, str(tmp_path), train=True)
  result = train(tmp_path, config, one_device)
  assert result['count'] == 31

  config.data.eval_split = 'val'
  (fault,) = preflight.of_config(config)
  assert fault == "data.eval_split='val': expected one of train, test"
  # Two hosts read the rows of one.
  split = registry.load(config, 'train')
  whole, top, bottom = (
    next(pipeline.train_batches(split, config, 5, rows))['image']
    for rows in (range(16), range(8), range(8, 16))
  )
  np.testing.assert_array_equal(whole, np.concatenate([top, bottom]))


# Krizhevsky et al. 2012, section 4.1; on ImageNet.
EIGENVALUES = np.float32([0.2175, 0.0188, 0.0045])
EIGENVECTORS = np.float32(
  [
    [-0.5675, 0.7192, 0.4009],
    [-0.5808, -0.0045, -0.8140],
    [-0.5836, -0.6948, 0.4203],
  ]
)


def lighting(key, image, data):
  """Shifts the color along the principal components of ImageNet's."""
  amounts = data.lighting * jax.random.normal(key, (3,)) * EIGENVALUES
  return jnp.clip(image + 255 * EIGENVECTORS @ amounts, 0, 255)


@pytest.mark.slow
def test_how_to_add_an_augmentation(monkeypatch, tmp_path, one_device):
  config = few_steps(tiniest_config())
  config.data.update(flip=True, pad=0, color_jitter=(0.0, 0.0, 0.0, 0.0))
  rng = np.random.default_rng(0)
  images = rng.integers(100, 150, (8, 16, 16, 3), np.uint8)
  batch = {'image': images, 'label': np.arange(8)}
  augment = lambda key: np.asarray(
    transforms.train_batch(jax.random.key(key), batch, config.data, 10)[0]
  )
  without = augment(0)
  train(tmp_path / 'without', config, one_device)

  entry = (lambda data: data.lighting, transforms.per_image(lighting))
  monkeypatch.setitem(transforms.AUGMENTATIONS, 'lighting', entry)
  accepted = (lambda v: 0 <= v <= 1, 'at least 0, at most 1')
  monkeypatch.setitem(config_check.RANGES, 'data.lighting', accepted)
  config.data.lighting = 0.0
  np.testing.assert_array_equal(augment(0), without)
  config.data.lighting = 1.1
  (fault,) = preflight.of_config(config)
  assert fault == 'data.lighting=1.1: expected at least 0, at most 1'
  config.data.lighting = 0.1
  preflight.check(config, str(tmp_path), train=True)

  # One color is added to all pixels of an image, another one to the next.
  added = (augment(0) - without) * np.float32(config.data.std)
  colors = added[:, 0, 0]
  np.testing.assert_allclose(
    added, colors[:, None, None] + 0 * added, atol=1e-3
  )
  assert np.ptp(colors, axis=0).min() > 1
  np.testing.assert_array_equal(augment(0), augment(0))
  assert (augment(0) != augment(1)).any()

  train(tmp_path / 'with', config, one_device)
  first, other = (
    [line['loss'] for line in metrics(tmp_path / run, 'train')]
    for run in ('without', 'with')
  )
  assert len(first) == len(other) == 3
  assert first[0] != other[0]


def yogi(options, rate, **decay):
  """Zaheer et al. 2018."""
  return optimizer._add_decay(optax.yogi(rate), options, rate, **decay)


@pytest.mark.slow
def test_how_to_add_an_optimizer(monkeypatch, tmp_path, one_device):
  config = few_steps(tiniest_config())
  config.optimizer.name = 'yogi'
  config.optimizer.clip_norm = 1.0
  config.fine_tune.freeze = ('conv_1a',)
  config.checkpoint_every = '1 step'
  (fault,) = preflight.of_config(config)
  assert fault.startswith("optimizer.name='yogi': expected one of rmsprop, sgd")
  monkeypatch.setitem(optimizer.OPTIMIZERS, 'yogi', yogi)
  preflight.check(config, str(tmp_path), train=True)
  train(tmp_path / 'whole', config, one_device)
  before, after = (params_of(tmp_path / 'whole', step) for step in (1, 3))
  assert_equal_states(before['conv_1a'], after['conv_1a'])
  kernels = (p['head']['dense']['kernel'] for p in (before, after))
  assert not np.array_equal(*kernels)

  with monkeypatch.context() as patch:
    interrupt(patch, 2)
    with pytest.raises(preemption.Preempted, match='step 2 of 3'):
      train(tmp_path / 'stopped', config, one_device)
  train(tmp_path / 'stopped', config, one_device)
  assert_equal_states(
    *(read_with_orbax(tmp_path / run, 3) for run in ('whole', 'stopped'))
  )


def save_module(path, apply, variables, card, seal):
  """Writes a line of metadata, then a module for eight images on a CPU."""
  shape = jax.ShapeDtypeStruct((8, *card.image_shape), jnp.float32)
  function = jax.jit(lambda images: apply(variables, images)['logits'])
  module = jax_export.export(function)(shape).serialize()
  with open(path, 'wb') as file:
    file.write(seal([module]).encode() + b'\n' + module)


def read_module(path):
  with open(path, 'rb') as file:
    return file.readline().decode(), [file.read()]


def load_module(path, trust):
  _, (module,) = read_module(path)
  exported = jax_export.deserialize(bytearray(module))
  if not trust:
    operations.check_stablehlo(exported.mlir_module_serialized)
  return lambda images: {'logits': np.asarray(exported.call(images))}


def test_how_to_add_an_export_format(
  monkeypatch, tmp_path, followed, one_device
):
  workdir, config, result, _ = followed
  step, weights = pretrained.restore('', str(workdir), one_device)
  module = types.SimpleNamespace(
    save=save_module, read=read_module, load=load_module
  )
  file_format = formats._Runnable(module, '.module')
  monkeypatch.setitem(formats.FORMATS, 'module', file_format)
  path = str(tmp_path / 'network.module')
  run = file_format.save(weights, path, step)
  differences = file_format.compare(weights, run)
  assert differences['relative_diff'] < 1e-5
  formats.check_bound('module', differences)
  wrong = file_format.compare(
    weights, lambda images: {'logits': 1.01 * run(images)['logits']}
  )
  with pytest.raises(RunError, match='--format=module differs too much'):
    formats.check_bound('module', wrong)

  artifact = formats.load(path)
  config = pretrained.adopt_network(config, artifact)
  config.batch_size = 8
  evaluated = export_evaluation.evaluate_artifact(
    config, artifact, one_device, evaluate.Options()
  ).result
  assert evaluated['count'] == result['count'] == 360
  assert evaluated['top1'] == result['top1']
  np.testing.assert_allclose(evaluated['loss'], result['loss'], rtol=1e-4)
  other = tmp_path / 'other.module'
  other.write_bytes((tmp_path / 'network.module').read_bytes()[:-1000])
  with pytest.raises(UserError, match='its digest differs'):
    formats.load(str(other))
  with pytest.raises(UserError, match='cannot be read'):
    formats.load(str(other), trust=True)

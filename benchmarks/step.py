"""Steps of training and of inference, in turns with somebody else's network."""

import dataclasses
import json
import logging
import os
import pathlib
import statistics
import subprocess
import time

import jax
import numpy as np
import optax

from inception_jax.data import pipeline
from inception_jax.distributed import sharding
from inception_jax.evaluation import evaluator
from inception_jax.export import mindir
from inception_jax.models import factory
from inception_jax.runtime import hardware
from inception_jax.training.trainer import Trainer

log = logging.getLogger(__name__)

_HERE = pathlib.Path(__file__).parent / 'peers'

_CLASSES = 1000

_OFF = ('pad', 'rotate', 'brightness_shift', 'erase', 'mixup', 'cutmix')

_SECONDS = 5  # a turn lasts so long on the slower side, or is one step


@dataclasses.dataclass(frozen=True)
class Theirs:
  """The other side.

  Attributes:
    python: that has torch and timm or, with `mindcv`, mindspore and mindcv.
    network: what timm calls it, or FILE.py:FUNCTION; '' is our own name.
    compiled: whether they use torch.compile.
    mindcv: whether it is MindCV's network of our name, in place of PyTorch.
  """

  python: str
  network: str = ''
  compiled: bool = False
  mindcv: bool = False


def measure(config, rounds: int, theirs: Theirs) -> list[dict]:
  """Both sides on a batch that is on the device already, in turns.

  The other side has RMSProp, label smoothing and, in v3, an auxiliary loss; it
  neither averages weights nor augments images, and this one does without both
  here. Beyond theirs, ours mirrors and normalises uint8 within the step, decays
  weights, drops features, and computes the metrics and norms of a training.

  Args:
    config: the whole config; its batch_size and precision are both sides'.
    rounds: turns of each side.
    theirs: the other one.

  Returns:
    A row for training and one for inference: 'times_theirs', our speed over
    theirs, 'images_per_sec' and 'their_images_per_sec', medians; what it was
    measured of and on.
  """
  # Both have to fit a GPU; without this, jax takes three quarters of it.
  os.environ.setdefault('XLA_PYTHON_CLIENT_MEM_FRACTION', '.45')
  config.ema_decay, config.gradient_accumulation = 0.0, 1
  config.data.update(
    color_jitter=(0.0,) * 4, policy='', **dict.fromkeys(_OFF, 0)
  )
  config = factory.resolve(config)
  classes = config.model.num_classes or _CLASSES
  network = theirs.network or config.model.name
  with _Process(theirs, network, config, classes) as process:
    log.info('compiling; a full network may take minutes')
    ours = sides(config, classes)
    return [
      {
        'what': what,
        **_turns(what, side, process, rounds, config.batch_size),
        'network': config.model.name,
        'theirs': os.path.basename(network),
        'torch_compile': theirs.compiled,
        'precision': config.precision,
        'image_size': config.data.image_size,
        'batch_size': config.batch_size,
        'device': hardware.devices(),
        'versions': {
          'jax': jax.__version__,
          'malloc': hardware.allocator(),  # of both sides
          **process.versions,
        },
      }
      for what, side in ours.items()
    ]


def sides(config, classes: int) -> dict:
  """Functions of a number of steps, which return when these are done.

  Args:
    config: the whole config, resolved.
    classes: of the network.

  Returns:
    {'train', 'inference'}, of one random batch that is on the devices.
  """
  mesh = sharding.make_mesh()
  trainer = Trainer(config, mesh, classes, optax.constant_schedule(1e-4))
  step = trainer.step()
  forward = evaluator.jit_forward(config, trainer.model, mesh)
  random = np.random.default_rng(0)
  spec = pipeline.train_batch_spec(config)
  rows = {
    'image': random.integers(256, size=spec['image'].shape, dtype=np.uint8),
    'label': random.integers(classes, size=config.batch_size, dtype=np.int32),
  }
  batch = sharding.to_global(mesh, rows)
  kept = {'state': trainer.init()}

  def train(steps):
    for _ in range(steps):
      kept['state'], sums = step(kept['state'], batch)
    jax.block_until_ready(sums)

  def inference(steps):
    variables = kept['state'].variables(ema=False)
    for _ in range(steps):
      logits = forward(variables, batch['image'])
    jax.block_until_ready(logits)

  return {'train': train, 'inference': inference}


def _turns(what, ours, theirs, rounds: int, batch_size: int) -> dict:
  def seconds(steps):
    begin = time.perf_counter()
    ours(steps)
    return time.perf_counter() - begin

  sides = [seconds, lambda steps: theirs.seconds(what, steps)]
  for side in sides:
    side(2)  # compiles, or finds the best algorithms
  slower = max(side(1) for side in sides)
  steps = max(1, round(_SECONDS / slower))
  found = []
  for i in range(rounds):
    log.info('%s, round %d of %d: %d steps', what, i + 1, rounds, steps)
    # There and back, so that none is always the one after the other.
    order = -1 if i % 2 else 1
    found.append([side(steps) / steps for side in sides[::order]][::order])
  speed = lambda i: batch_size / statistics.median(pair[i] for pair in found)
  ratio = statistics.median(theirs / ours for ours, theirs in found)
  return {
    'times_theirs': round(ratio, 3),
    'images_per_sec': round(speed(0), 2),
    'their_images_per_sec': round(speed(1), 2),
  }


class _Process:
  """The process of the other side, which waits while it is not asked."""

  def __init__(self, theirs: Theirs, network: str, config, classes: int):
    script, self._env = 'timm_step.py', None
    if theirs.mindcv:
      script, self._env = 'mindcv_step.py', mindir.environment(theirs.python)
    what = (network, config.batch_size, config.data.image_size, classes)
    # The only one of theirs that has an auxiliary head is v3.
    aux = int(config.model.aux_head)
    how = () if theirs.mindcv else (config.precision, int(theirs.compiled))
    self._args = [theirs.python, _HERE / script, *what, aux, *how]

  def __enter__(self):
    self._process = subprocess.Popen(
      [str(x) for x in self._args],
      env=self._env,
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      text=True,
    )
    self.versions = self._answer()
    return self

  def __exit__(self, *_):
    self._process.stdin.close()
    self._process.wait()

  def seconds(self, what: str, steps: int) -> float:
    """What so many of its steps take."""
    print(what, steps, file=self._process.stdin, flush=True)
    return self._answer()

  def _answer(self):
    line = self._process.stdout.readline()
    if not line:
      code = self._process.wait()
      name = self._args[1].name
      raise RuntimeError(f'{name} ended with {code}, see above')
    return json.loads(line)

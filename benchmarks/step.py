"""Compares training and inference steps with another framework's network."""

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

_PEERS = pathlib.Path(__file__).parent / 'peers'
_CLASSES = 1000
_OFF = ('pad', 'rotate', 'brightness_shift', 'erase', 'mixup', 'cutmix')
_SECONDS = 5  # of a repetition on the slower side; at least one step


@dataclasses.dataclass(frozen=True)
class Peer:
  """The network to compare with.

  Attributes:
    python: an interpreter with torch and timm or, if `mindcv`, with mindspore
      and mindcv.
    network: timm's name of a network, or FILE.py:FUNCTION; '' is our name.
    torch_compile: whether it runs under torch.compile.
    mindcv: whether it is MindCV's network of our name instead of PyTorch's.
  """

  python: str
  network: str = ''
  torch_compile: bool = False
  mindcv: bool = False


def measure(config, rounds: int, peer: Peer) -> list[dict]:
  """Alternates both sides, each on a batch that is already on the device.

  The peer's step has RMSProp, label smoothing and, in v3, the auxiliary loss,
  but no moving average of weights and no augmentation; both are disabled here.
  Our step additionally flips and normalises uint8 images, decays weights,
  applies dropout, and computes the metrics and norms that training logs.

  Args:
    config: the whole config; both sides use its batch_size and precision.
    rounds: repetitions of each side.
    peer: the network to compare with.

  Returns:
    A row for training and one for inference, with the settings and medians of
    'images_per_sec', 'their_images_per_sec' and 'times_theirs', our speed
    relative to theirs.
  """
  # Both sides share a GPU; by default JAX preallocates three quarters of it.
  os.environ.setdefault('XLA_PYTHON_CLIENT_MEM_FRACTION', '.45')
  config.ema_decay, config.gradient_accumulation = 0.0, 1
  config.data.update(
    color_jitter=(0.0,) * 4, policy='', **dict.fromkeys(_OFF, 0)
  )
  config = factory.resolve(config)
  classes = config.model.num_classes or _CLASSES
  network = peer.network or config.model.name
  with _PeerProcess(peer, network, config, classes) as process:
    log.info('compiling; a full network may take minutes')
    functions = step_functions(config, classes)
    return [
      {
        'what': what,
        **_compare(what, function, process, rounds, config.batch_size),
        'network': config.model.name,
        'theirs': os.path.basename(network),
        'torch_compile': peer.torch_compile,
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
      for what, function in functions.items()
    ]


def step_functions(config, classes: int) -> dict:
  """Returns {'train', 'inference'}: functions that run a number of steps.

  Each uses the same random batch, which is already on the devices, and returns
  when its last step is complete.

  Args:
    config: the whole config, resolved.
    classes: number of classes.
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
  state = trainer.init()

  def train(steps):
    nonlocal state
    for _ in range(steps):
      state, sums = step(state, batch)
    jax.block_until_ready(sums)

  def inference(steps):
    variables = state.variables(ema=False)
    for _ in range(steps):
      logits = forward(variables, batch['image'])
    jax.block_until_ready(logits)

  return {'train': train, 'inference': inference}


def _compare(what, ours, process, rounds: int, batch_size: int) -> dict:
  def seconds(steps):
    begin = time.perf_counter()
    ours(steps)
    return time.perf_counter() - begin

  sides = [seconds, lambda steps: process.seconds(what, steps)]
  for side in sides:
    side(2)  # warm-up: compiles, or selects convolution algorithms
  slower = max(side(1) for side in sides)
  steps = max(1, round(_SECONDS / slower))
  pairs = []
  for i in range(rounds):
    log.info('%s, round %d of %d: %d steps', what, i + 1, rounds, steps)
    # The order alternates, so that neither side always runs first.
    order = -1 if i % 2 else 1
    pairs.append([side(steps) / steps for side in sides[::order]][::order])
  speed = lambda i: batch_size / statistics.median(pair[i] for pair in pairs)
  ratio = statistics.median(theirs / ours for ours, theirs in pairs)
  return {
    'times_theirs': round(ratio, 3),
    'images_per_sec': round(speed(0), 2),
    'their_images_per_sec': round(speed(1), 2),
  }


class _PeerProcess:
  """Runs the peer's script, which is idle between requests for steps."""

  def __init__(self, peer: Peer, network: str, config, classes: int):
    script, self._env = 'timm_step.py', None
    if peer.mindcv:
      script, self._env = 'mindcv_step.py', mindir.environment(peer.python)
    args = [network, config.batch_size, config.data.image_size, classes]
    # Among the peers' networks, only v3 has an auxiliary head.
    args.append(int(config.model.aux_head))
    if not peer.mindcv:
      args += [config.precision, int(peer.torch_compile)]
    self._args = [peer.python, _PEERS / script, *args]

  def __enter__(self):
    self._process = subprocess.Popen(
      [str(x) for x in self._args],
      env=self._env,
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      text=True,
    )
    self.versions = self._read()
    return self

  def __exit__(self, *_):
    self._process.stdin.close()
    self._process.wait()

  def seconds(self, what: str, steps: int) -> float:
    """Runs steps of the peer and returns the seconds they took."""
    print(what, steps, file=self._process.stdin, flush=True)
    return self._read()

  def _read(self):
    line = self._process.stdout.readline()
    if not line:
      code = self._process.wait()
      name = self._args[1].name
      raise RuntimeError(f'{name} exited with status {code}; see its output')
    return json.loads(line)

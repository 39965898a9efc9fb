"""Compares training and inference steps with another framework's network."""

from collections.abc import Sequence
import contextlib
import json
import logging
import os
import subprocess

import jax
import numpy as np
import optax

from benchmarks import timing
from inception_jax.distributed import sharding
from inception_jax.evaluation import members
from inception_jax.export import mindir
from inception_jax.models import factory
from inception_jax.runtime import hardware
from inception_jax.training.trainer import Trainer

log = logging.getLogger(__name__)

_CLASSES = 1000
_OFF = ('pad', 'rotate', 'brightness_shift', 'erase', 'mixup', 'cutmix')
_SECONDS = 5  # of a repetition on the slower side; at least one step


def measure(
  config,
  rounds: int,
  python: str,
  network: str = '',
  torch_compile: str = 'off',
  mindcv: bool = False,
  passes: Sequence[str] = ('train', 'inference'),
) -> list[dict]:
  """Alternates both sides, each on a batch that is already on the device.

  The peer's step has RMSProp, label smoothing and, in v3, the auxiliary loss,
  but no moving average of weights and no augmentation; both are disabled here.
  Our step additionally flips and normalizes uint8 images, decays weights,
  applies dropout, and computes the metrics and norms that training logs. Both
  sides use the config's batch size and precision.

  Args:
    python: an interpreter with torch and timm, or with mindspore and mindcv;
      '': our side alone.
    network: timm's name of the peer, or FILE.py:FUNCTION; '' is our name.
    torch_compile: mode of the peer's torch.compile; 'off': it runs eagerly.
    mindcv: whether the peer is MindCV's network of our name, not PyTorch's.
    passes: which of 'train' and 'inference' to measure.

  Returns:
    A row for each pass, with the settings and medians of 'images_per_sec',
    'their_images_per_sec' and 'times_theirs', our speed relative to theirs.
    'compile_seconds' is how much longer than two other steps the first two
    took, 'their_compile_seconds' the same of the peer. '' where none takes
    part.
  """
  if python:
    # Both share a GPU; by default JAX preallocates three quarters of it.
    os.environ.setdefault('XLA_PYTHON_CLIENT_MEM_FRACTION', '.45')
  config.ema_decay, config.gradient_accumulation = 0.0, 1
  off = dict.fromkeys(_OFF, 0)
  off |= dict.fromkeys(('policy', 'color_distortion'), '')
  config.data.update(color_jitter=(0.0,) * 4, **off)
  config = factory.resolve(config)
  classes = config.model.num_classes or _CLASSES
  network = network or config.model.name
  args = [network, config.batch_size, config.data.image_size, classes]
  # Among the peers' networks, only v3 has an auxiliary head.
  args.append(int(config.model.aux_head))
  if mindcv:
    script, env = 'mindcv_step.py', mindir.environment(python)
  else:
    script, env = 'timm_step.py', None
    args += [config.precision, torch_compile]
  if python:
    peer = _peer(env, python, script, *args)
  else:
    peer = contextlib.nullcontext(({}, None))
  with peer as (versions, their_seconds):
    log.info('compiling; a full network may take minutes')
    functions = step_functions(config, classes)
    return [
      {
        'what': what,
        **_compare(
          what, functions[what], their_seconds, rounds, config.batch_size
        ),
        'network': config.model.name,
        'theirs': os.path.basename(network) if python else '',
        'torch_compile': torch_compile,
        'precision': config.precision,
        'image_size': config.data.image_size,
        'batch_size': config.batch_size,
        'device': hardware.devices(),
        'versions': {
          'jax': jax.__version__,
          'malloc': hardware.allocator(),  # of both sides
          **versions,
        },
      }
      for what in passes
    ]


def step_functions(config, classes: int) -> dict:
  """Returns {'train', 'inference'}: functions that run a number of steps.

  Each uses the same random batch, which is already on the devices, and returns
  when its last step is complete. `config` must be resolved.
  """
  mesh = sharding.make_mesh()
  trainer = Trainer(config, mesh, classes, optax.constant_schedule(1e-4))
  step = trainer.step()
  forward = members.jit_forward(config, trainer.model, mesh)
  random = np.random.default_rng(0)
  # Images, cached features and labels.
  below = {'image': 256, 'features': 2, 'label': classes}
  rows = {
    key: random.integers(below[key], size=x.shape).astype(x.dtype)
    for key, x in trainer.batch_spec().items()
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


def _compare(what, ours, their_seconds, rounds: int, batch_size: int) -> dict:
  both = {
    'ours': lambda steps: timing.seconds(ours, steps) / steps,
    'theirs': lambda steps: their_seconds(what, steps) / steps,
  }
  if not their_seconds:
    del both['theirs']
  # The first steps compile, or select convolution algorithms.
  first = {name: side(2) for name, side in both.items()}
  second = {name: side(1) for name, side in both.items()}
  steps = max(1, round(_SECONDS / max(second.values())))
  log.info('%s: %d steps a round', what, steps)
  seconds = timing.alternate(
    {name: lambda side=side: side(steps) for name, side in both.items()}, rounds
  )
  speed = {
    name: round(batch_size / float(np.median(x)), 2)
    for name, x in seconds.items()
  }
  times = their_seconds and timing.median(
    seconds['theirs'] / seconds['ours'], 3
  )
  extra = {
    name: max(0.0, round(2 * (first[name] - second[name]), 1)) for name in both
  }
  return {
    'times_theirs': times or '',
    'images_per_sec': speed['ours'],
    'their_images_per_sec': speed.get('theirs', ''),
    'compile_seconds': extra['ours'],
    'their_compile_seconds': extra.get('theirs', ''),
  }


@contextlib.contextmanager
def _peer(env, python: str, script: str, *args):
  """Starts a script of peers/, which is idle between requests for steps.

  Yields its versions, and a function that runs ('train' or 'inference', number
  of steps) there and returns the seconds they took.
  """
  command = list(map(str, [python, timing.PEERS / script, *args]))
  pipe = subprocess.PIPE
  with subprocess.Popen(
    command, env=env, stdin=pipe, stdout=pipe, text=True
  ) as process:

    def read():
      line = process.stdout.readline()
      if not line:
        code = process.wait()
        raise RuntimeError(
          f'{script} exited with status {code}; see its output'
        )
      return json.loads(line)

    def seconds(what: str, steps: int) -> float:
      print(what, steps, file=process.stdin, flush=True)
      return read()

    yield read(), seconds

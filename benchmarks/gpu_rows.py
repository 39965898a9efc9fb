"""The rows of `benchmarks.gpu`, in the order in which they are measured."""

import dataclasses
from typing import Any

# FLOP/s in bfloat16 and float16 without sparsity, by jax's name of the device.
# NVIDIA's data sheets: nvidia.com/en-us/data-center/a100, /h100 and /h200. The
# last two give twice as much, with sparsity.
PEAK_FLOPS = {
  'NVIDIA A100-SXM4-40GB': 312e12,
  'NVIDIA A100-SXM4-80GB': 312e12,
  'NVIDIA A100-PCIE-40GB': 312e12,
  'NVIDIA A100 80GB PCIe': 312e12,
  'NVIDIA H100 80GB HBM3': 989e12,
  'NVIDIA H200': 989e12,
}
_ALONE = 'alone-v3'
_ALONE_INFERENCE = 'alone-v3-inference'
_INPUT = 'input'
CIFAR = 'CLONES/pytorch-cifar100/models/inceptionv3.py:inceptionv3'
_V3, _V4, _RESNET = 'inception_v3', 'inception_v4', 'inception_resnet_v2'
_SHORT = {_V3: 'v3', _V4: 'v4', _RESNET: 'resnet'}


@dataclasses.dataclass(frozen=True)
class Row:
  """One measurement.

  Attributes:
    name: in the ledger and for --rows.
    args: flags of `benchmarks.run`; it prints one result, or a list of one.
    against: what the ratio is relative to; '': there is no ratio.
    target: the least ratio that is wanted; None: none is stated.
    seconds: that it may take.
    base: the row whose images a second are the divisor of the ratio; '': the
      result of `benchmarks.run` has the ratio.
    feeds: the row of the step that the input must feed; then the runner adds
      the source, JPEGs if `input` is fast enough.
    peer: whether PyTorch takes part.
    alone: whether our side is measured where the peer is missing.
    xla: flags of XLA; {shared} is the folder of the shared cache.
    cold: whether it starts with an empty cache of compiled programs, in place
      of the one that the rows of a start share. Choices of algorithms are
      cached, too, and would hide what a flag changes about them.
    env: more environment variables.
  """

  name: str
  args: tuple[str, ...]
  against: str = ''
  target: float | None = None
  seconds: int = 150
  base: str = ''
  feeds: str = ''
  peer: bool = False
  alone: bool = True
  xla: str = ''
  cold: bool = False
  env: dict[str, str] = dataclasses.field(default_factory=dict)


def _step(
  name: str,
  recipe: str,
  what: str,
  *args: str,
  batch: int = 256,
  **kwargs: Any,
) -> Row:
  return Row(
    name,
    (
      '--what=step',
      f'--passes={what}',
      f'--config=configs/{recipe}.py',
      f'--config.batch_size={batch}',
      '--config.precision=bfloat16',
      '--rounds=3',
      *args,
    ),
    **kwargs,
  )


def _against_torch(
  what: str, mode: str, seconds: tuple[int, int, int]
) -> list[Row]:
  """Returns v3, v4 and Inception-ResNet-v2 against timm's."""
  suffix = '' if mode == 'default' else f'-{mode}'
  return [
    _step(
      f'{what}-{_SHORT[recipe]}{suffix}',
      recipe,
      what,
      f'--torch_compile={mode}',
      against=f'timm, torch.compile {mode}',
      target=1.1,
      seconds=limit,
      peer=True,
      alone=mode == 'default',
    )
    for recipe, limit in zip((_V3, _V4, _RESNET), seconds, strict=True)
  ]


def _cifar(what: str, seconds: int) -> Row:
  return _step(
    f'{what}-cifar',
    'cifar100_inception_v3',
    what,
    '--config.model.num_classes=100',
    f'--network={CIFAR}',
    '--torch_compile=default',
    batch=128,
    against="weiaicunzai's, torch.compile default",
    target=1.1,
    seconds=seconds,
    peer=True,
    alone=False,
  )


def _loop(recipe: str, seconds: int) -> Row:
  return Row(
    f'loop-{_SHORT[recipe]}',
    (
      '--what=loop',
      f'--config=configs/{recipe}.py',
      '--config.batch_size=256',
      '--config.precision=bfloat16',
      '--rounds=2',
      '--steps=60',
    ),
    against='its bare step',
    target=0.97,
    seconds=seconds,
    feeds=f'train-{_SHORT[recipe]}',
  )


def _ours(name: str, *args: str, what: str = 'train', **kwargs: Any) -> Row:
  """Returns a variant of v3's step, against `alone-v3`."""
  base = _ALONE if what == 'train' else _ALONE_INFERENCE
  kwargs.setdefault('against', base)
  kwargs.setdefault('base', base)
  return _step(name, _V3, what, *args, **kwargs)


def _lever(name: str, xla: str, **kwargs: Any) -> Row:
  return _ours(name, xla=xla, **kwargs)


_FUSION = '--xla_gpu_use_runtime_fusion=true'
_CONV_FUSION = '--xla_gpu_experimental_enable_conv_fusion=true'
ROWS = (
  *_against_torch('train', 'default', (240, 300, 330)),
  *_against_torch('inference', 'default', (180, 210, 240)),
  Row(
    _INPUT,
    (
      '--what=input',
      f'--config=configs/{_V3}.py',
      '--rounds=2',
      '--batches=40',
      '--listed=1000',
    ),
    seconds=90,
  ),
  _loop(_V3, 240),
  _loop(_V4, 300),
  Row(
    'head-v3',
    (
      '--what=fine_tune',
      '--trained=head',
      f'--config=configs/{_V3}.py',
      '--config.batch_size=256',
      '--config.precision=bfloat16',
      '--rounds=5',
    ),
    against='its forward pass',
    target=0.85,
    seconds=180,
  ),
  _cifar('train', 180),
  _cifar('inference', 150),
  *_against_torch('train', 'max-autotune', (330, 420, 480)),
  _ours(_ALONE, against='', base=''),
  _ours('remat', '--config.remat=True'),
  _ours('deterministic', '--config.deterministic=True'),
  _ours('float16', '--config.precision=float16'),
  _ours('tensorfloat32', '--config.precision=tensorfloat32'),
  _ours('batch-512', batch=512),
  _ours('batch-norm-32', '--config.batch_norm=32 images'),
  _lever('command-buffers-off', '--xla_gpu_enable_command_buffer='),
  _lever(
    'command-buffers-convolutions',
    '--xla_gpu_enable_command_buffer=+CONVOLUTION',
  ),
  _lever('latency-hiding', '--xla_gpu_enable_latency_hiding_scheduler=true'),
  _lever('autotune-cold', '', cold=True),
  # Not jax's own cache of these choices, which a folder of programs has.
  _lever(
    'autotune-carried',
    '--xla_gpu_per_fusion_autotune_cache_dir='
    '{shared}/xla_gpu_per_fusion_autotune_cache_dir',
    cold=True,
    env={'JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES': 'none'},
  ),
  _lever('autotune-0', '--xla_gpu_autotune_level=0', cold=True),
  _lever('autotune-2', '--xla_gpu_autotune_level=2', cold=True),
  _lever('triton-gemm-off', '--xla_gpu_enable_triton_gemm=false', cold=True),
  _lever('convolutions-nhwc', '--xla_gpu_force_conv_nhwc=true', cold=True),
  _lever('runtime-fusion', _FUSION, cold=True),
  _lever('conv-fusion', _CONV_FUSION, cold=True),
  _ours(_ALONE_INFERENCE, what='inference', against='', base=''),
  _lever('runtime-fusion-inference', _FUSION, cold=True, what='inference'),
  _lever('conv-fusion-inference', _CONV_FUSION, cold=True, what='inference'),
  *_against_torch('inference', 'max-autotune', (270, 330, 360)),
)
# Instead of the GPU's sizes, to try the rows on a CPU; later flags win.
_SMOKE = ('--rounds=1', '--config.batch_size=2', '--config.model.width=0.25')
_SMOKE_OF = {
  'step': (),
  'loop': ('--steps=2',),
  'input': ('--batches=2',),
  'fine_tune': (),
}


def smoke(args: tuple[str, ...]) -> tuple[str, ...]:
  """Returns a row's flags with sizes that a CPU computes in seconds."""
  what = args[0].partition('=')[2]
  sizes = (*_SMOKE, *_SMOKE_OF[what])
  if not any('cifar' in arg for arg in args):
    # Where the auxiliary head's pool does not fit.
    sizes += ('--config.data.image_size=75', '--config.model.aux_head=False')
  if any('batch_norm' in arg for arg in args):
    sizes += ('--config.batch_norm=2 images',)
  return (*args, *sizes)

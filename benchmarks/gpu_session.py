"""Runs a row of `benchmarks.gpu` in processes of its own.

A row that hangs, crashes or runs out of memory costs no other row anything.
"""

import dataclasses
import hashlib
import importlib.util
import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import tempfile

import jax

from benchmarks import gpu_rows
from benchmarks.gpu_rows import Row
from inception_jax import errors
from inception_jax.models.figures import FIGURES

ROOT = pathlib.Path(__file__).parent.parent
# Columns of the ledger that come from a row's process.
COLUMNS = (
  'times',
  'images_per_sec',
  'their_images_per_sec',
  'mfu',
  'compile_seconds',
  'their_compile_seconds',
  'versions',
)
_RATIOS = ('times_theirs', 'times_bare', 'times_forward')
# Forward passes that a step costs: the backward pass costs two.
_PASSES = {'train': 3, 'loop': 3, 'inference': 1}
_READ = ('--what=input', '--what=loop')  # rows that read images
_HALF = ('bfloat16', 'float16')  # the precisions that the peaks are for
# Input that is no faster than this would hold up some steps.
_INPUT_MARGIN = 1.1
# On two cores, where torch.compile takes minutes, rows take longer.
_SMOKE_SECONDS = 6
# Lines of stderr that state an error: Python's, and XLA's of aborted processes.
_PYTHONS = re.compile(r'(?m)^(?:error: |[\w.]*(?:Error|Exception)\b).*')
_XLAS = re.compile(r'(?m)^[EF]\d{4} .*?\] (.*)')


class RowError(Exception):
  """A process has no result; the message is one line."""


class TooLong(RowError):
  """A process was killed, because it took too long."""


@dataclasses.dataclass
class Session:
  """What the rows of one start share.

  Attributes:
    device: as jax names it.
    devices: as `hardware.devices` describes them.
    python: what runs `benchmarks.run`.
    torch: a Python with torch and timm; '': there is none.
    clones: the folder of pytorch-cifar100; '': there is none.
    smoke: whether to compute tiny sizes on the CPU.
    cache: a folder for compiled programs.
    speeds: {row: images a second} of those that are measured.
  """

  device: str
  devices: str
  python: str
  torch: str
  clones: str
  smoke: bool
  cache: str
  speeds: dict[str, float] = dataclasses.field(default_factory=dict)

  def fault(self, row: Row) -> str:
    """Returns why a row cannot be measured here, or ''."""
    if row.peer and not self.torch and not row.alone:
      return '--torch has no PyTorch that can take part'
    if f'--network={gpu_rows.CIFAR}' in row.args and not self.clones:
      return '--clones has no clone of pytorch-cifar100'
    if row.args[0] in _READ and not importlib.util.find_spec('tensorflow'):
      return 'tensorflow, which reads images, is not installed'
    if row.base and row.base not in self.speeds:
      return f'{row.base} is not measured'
    return ''

  def allowance(self, row: Row) -> int:
    """Returns the seconds that a row may take."""
    return row.seconds * (_SMOKE_SECONDS if self.smoke else 1)

  def against(self, row: Row) -> str:
    """Returns what the row's ratio is relative to; '': it has none."""
    if row.feeds:
      return f'{row.against}; {self._source(row)[1]}'
    return '' if row.peer and not self.torch else row.against

  def args(self, row: Row) -> str:
    """Returns the flags of XLA and of `benchmarks.run`, for the ledger.

    They name no path of this machine, but TORCH and CLONES.
    """
    xla = self._xla(row)
    return shlex.join([*[f'XLA_FLAGS={xla}'] * bool(xla), *self._words(row)])

  def flags(self, row: Row) -> list[str]:
    """Returns the row's flags of `benchmarks.run`."""
    torch, network = '--torch=TORCH', '--network=CLONES'
    return [
      word.replace(torch, f'--torch={self.torch}').replace(
        network, f'--network={self.clones}'
      )
      for word in self._words(row)
    ]

  def measure(self, row: Row, seconds: float) -> dict:
    """Returns a row's `COLUMNS` of the ledger.

    Args:
      seconds: that it may take.

    Raises:
      RowError: it failed; `TooLong`: it was killed.
    """
    with tempfile.TemporaryDirectory() as own:
      variables = {
        **environment(self.smoke),
        'XLA_FLAGS': self._xla(row).replace('{shared}', self.cache),
        'JAX_COMPILATION_CACHE_DIR': own if row.cold else self.cache,
        'TORCHINDUCTOR_CACHE_DIR': os.path.join(self.cache, 'inductor'),
        **row.env,
      }
      command = [self.python, '-m', 'benchmarks.run', *self.flags(row)]
      result = json.loads(last_line(command, variables, seconds))
    result = result.get('rows', [result])[0]
    speed = result['images_per_sec']
    speed = speed['ours'] if isinstance(speed, dict) else speed
    ratio = next((result[key] for key in _RATIOS if key in result), '')
    if row.base:
      ratio = round(speed / self.speeds[row.base], 3)
    return {key: result.get(key, '') for key in COLUMNS} | {
      'times': ratio,
      'images_per_sec': speed,
      'mfu': self._mfu(result),
      'versions': {'jax': jax.__version__, **result.get('versions', {})},
    }

  def _words(self, row: Row) -> tuple[str, ...]:
    words = row.args
    if row.feeds:
      words += (f'--config.data.source={self._source(row)[0]}',)
    words += ('--torch=TORCH' if row.peer and self.torch else '--torch=',)
    return gpu_rows.smoke(words) if self.smoke else words

  def _xla(self, row: Row) -> str:
    return f'{os.environ.get("XLA_FLAGS", "")} {row.xla}'.strip()

  def _source(self, row: Row) -> tuple[str, str]:
    """Returns what feeds a loop, 'folder' or 'synthetic', and why."""
    read, trained = self.speeds.get('input'), self.speeds.get(row.feeds)
    if not read or not trained:
      return 'synthetic', f'synthetic images: no rate of input or {row.feeds}'
    rates = f'{read:.0f} images/s are read, {trained:.0f} trained'
    if read < _INPUT_MARGIN * trained:
      return 'synthetic', f'synthetic images: {rates}'
    return 'folder', f'JPEGs: {rates}'

  def _mfu(self, result: dict) -> float | str:
    """Returns the share of the device's peak, or '' where it is unknown.

    The auxiliary head does not count.
    """
    passes = _PASSES.get(result['what'])
    peak = gpu_rows.PEAK_FLOPS.get(self.device)
    if not passes or not peak or result['precision'] not in _HALF:
      return ''
    flops = passes * FIGURES[result['network']].flops
    return round(flops * result['images_per_sec'] / peak, 3)


def environment(smoke: bool) -> dict[str, str]:
  """Returns the variables of every process: one GPU, or the CPU."""
  variables = {'CUDA_VISIBLE_DEVICES': '0', **os.environ}
  return variables | ({'JAX_PLATFORMS': 'cpu'} if smoke else {})


def code() -> str:
  """Returns a digest of the package's modules and the recipes."""
  digest = hashlib.sha256()
  for folder in ('inception_jax', 'configs'):
    for path in sorted((ROOT / folder).rglob('*.py')):
      digest.update(path.read_bytes())
  return digest.hexdigest()[:12]


def last_line(
  command: list[str], variables: dict[str, str], seconds: float
) -> str:
  """Runs a command, kills what it left, and returns its last line of stdout.

  Raises:
    RowError: it failed; `TooLong`: after `seconds` it was killed.
  """
  with tempfile.TemporaryFile('w+') as out, tempfile.TemporaryFile('w+') as log:
    process = subprocess.Popen(
      command,
      env=variables,
      cwd=ROOT,
      stdin=subprocess.DEVNULL,
      stdout=out,
      stderr=log,
      start_new_session=True,
    )
    try:
      status = process.wait(max(0.0, seconds))
    except subprocess.TimeoutExpired:
      raise TooLong(f'killed after {seconds:.0f} s') from None
    finally:
      # The peer, and the compilers that it started, too.
      try:
        os.killpg(process.pid, signal.SIGKILL)
      except ProcessLookupError:
        pass
      process.wait()
    out.seek(0)
    log.seek(0)
    if status:
      raise RowError(_reason(status, log.read()))
    lines = out.read().splitlines()
  if not lines:
    raise RowError('nothing was printed')
  return lines[-1]


def _reason(status: int, log: str) -> str:
  """Returns why a process failed, in one line."""
  # The peer's error precedes that of our side, which waits for it.
  stated = _PYTHONS.findall(log) or _XLAS.findall(log) or log.splitlines()
  text = '; '.join(map(errors.one_line, [*dict.fromkeys(stated)][-2:]))
  if status < 0:
    text = f'{signal.Signals(-status).name}: {text}'
  return errors.printable(text or f'exit status {status}')

"""Reads torch's pickles of tensors: state dicts, and checkpoints that hold one.

Only torch reads them, with `weights_only=True`. What training scripts save
beside the tensors is read as nothing.
"""

import logging
import mmap
import os
import re
from typing import Any
import zipfile

import numpy as np

from inception_jax import errors
from inception_jax.errors import UserError
from inception_jax.weights import limits

log = logging.getLogger(__name__)

_MIN_TORCH = (2, 10)
# Keys under which training scripts store the network, averaged weights first.
_STATE_DICTS = (
  'state_dict_ema',
  'model_ema',
  'state_dict',
  'model',
  'model_state_dict',
  'net',
)
# The only objects that may be in a file beside torch's: arguments, scores.
_IGNORED = (
  'argparse.Namespace',
  'numpy.dtype',
  'numpy._core.multiarray.scalar',
  'numpy.core.multiarray.scalar',
)


class _Ignored:
  """Stands in for an object of `_IGNORED`; keeps and runs nothing."""

  def __new__(cls, *args: Any):
    del args
    return super().__new__(cls)

  def __init__(self, *args: Any):
    del args

  def __setstate__(self, state: Any):
    del state


def read(path: str) -> dict[str, np.ndarray]:
  """Reads the tensors of a file as float32.

  Of a training's checkpoint, reads the moving average of the network if there
  is one.

  Raises:
    UserError: torch is missing or too old, or the file has other objects than
      tensors, plain containers and those of `_IGNORED`.
    ValueError: its tensors are larger than the file.
  """
  _check(path)
  torch = _import_torch(path)
  safe = torch.serialization.safe_globals(
    [(_Ignored, name) for name in _IGNORED]
  )
  try:
    with safe:
      content = torch.load(path, map_location='cpu', weights_only=True)
  except Exception as error:
    raise UserError(_refusal(path, str(error))) from error
  content = _state_dict(content, path)
  tensors = {
    name: tensor
    for name, tensor in content.items()
    if isinstance(name, str) and isinstance(tensor, torch.Tensor)
  }
  # A tensor may repeat its values, or be larger than what the file has of it.
  nbytes = sum(x.numel() * x.element_size() for x in tensors.values())
  limits.check_size(nbytes, os.path.getsize(path))
  return {name: x.detach().float().numpy() for name, x in tensors.items()}


def _check(path: str) -> None:
  """Raises ValueError if torch would unpack, or make up, more than it reads."""
  if zipfile.is_zipfile(path):
    with zipfile.ZipFile(path) as archive:
      limits.check_stored(archive.infolist(), os.path.getsize(path))
  with (
    open(path, 'rb') as file,
    mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
  ):
    # What the pickle may call with a number, for as many zeros.
    if content.find(b'bytearray') >= 0:
      raise ValueError('it has a bytearray')


def _import_torch(path: str):
  needed = '.'.join(map(str, _MIN_TORCH))
  hint = f'pip install "torch>={needed}", or save it as safetensors'
  try:
    import torch
  except ImportError as error:
    raise UserError(f'{path}: torch is needed to read it: {hint}') from error
  version = tuple(int(n) for n in re.findall(r'\d+', torch.__version__)[:2])
  if version < _MIN_TORCH:
    raise UserError(
      f'{path}: torch {torch.__version__} cannot read pickles safely: {hint}'
    )
  return torch


def _refusal(path: str, reason: str) -> str:
  advice = 'save only the state_dict: torch.save(model.state_dict(), FILE)'
  if match := re.search(r'GLOBAL (\S+)', reason):
    return (
      f'{path} has an object of {match[1]}, which could run code on loading; '
      + advice
    )
  reason = re.sub(r'\x1b\[[\d;]*m', '', reason)  # torch's bold type
  return (
    f'{path} is damaged, or has objects other than tensors, which could run '
    f'code on loading; {advice}: {errors.one_line(reason)}'
  )


def _state_dict(content: Any, path: str) -> dict[Any, Any]:
  """Returns the network's tensors, wherever a training script puts them."""
  for _ in _STATE_DICTS:  # not for ever: a dictionary may contain itself
    if not isinstance(content, dict):
      raise UserError(f'{path}: expected a state_dict, not {type(content)}')
    found = [k for k in _STATE_DICTS if isinstance(content.get(k), dict)]
    if not found:
      break
    others = f', not {", ".join(found[1:])}' if found[1:] else ''
    log.info('%s: reading %s%s', path, found[0], others)
    content = content[found[0]]
  return content

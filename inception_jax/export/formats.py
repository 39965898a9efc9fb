"""The formats that networks are exported to."""

import dataclasses
import functools
import os
from types import ModuleType
from typing import Any

import jax
import numpy as np

from inception_jax import extras
from inception_jax.errors import RunError
from inception_jax.errors import UserError
from inception_jax.export import artifact
from inception_jax.export import comparison
from inception_jax.export import litert_file
from inception_jax.export import metadata
from inception_jax.export import mindir
from inception_jax.export import onnx_file
from inception_jax.export import outputs
from inception_jax.export import saved_model
from inception_jax.export import stablehlo_file
from inception_jax.export.format import DEFAULTS
from inception_jax.export.format import FLOAT16_BOUND
from inception_jax.export.format import Format
from inception_jax.models import architectures
from inception_jax.models import fold
from inception_jax.weights import exporter
from inception_jax.weights import hub
from inception_jax.weights import hub_folder
from inception_jax.weights import importer


@dataclasses.dataclass(frozen=True)
class _Runnable(Format):
  """A format that this package can run, with BatchNorm folded.

  Attributes:
    file: the module that writes and reads it.
    portable: whether readers support only standard operations, or gain nothing
      from a choice of operations by platform (TensorFlow).
    converts: whether `file` makes float16 of a network of float32.
    packages: optional modules that it needs.
    options, bound: see `Format`.
  """

  file: ModuleType
  ending: str = ''
  portable: bool = True
  converts: bool = False
  packages: tuple[str, ...] = ()
  options: frozenset[str] = Format.options
  bound: float = Format.bound

  def cannot_save(self, mindspore):
    return ''.join(extras.missing(*self.packages))

  def save(self, weights, path, step, options=DEFAULTS):
    int8 = 'calibration' in self.options
    precision = 'float32' if self.converts else options.precision
    model = architectures.create(weights.network, precision=precision)
    model, variables = fold.fold(
      model, weights.variables, self.portable, int8=int8
    )
    if precision == 'float16':
      variables = jax.tree.map(lambda x: x.astype(np.float16), variables)
    apply = functools.partial(outputs.compute, model, outputs=options.outputs)
    about = metadata.to_json(
      weights,
      variables,
      step,
      outputs=options.outputs,
      preprocess=options.preprocess,
      precision=options.precision,
    )
    seal = functools.partial(metadata.seal, about)
    extras = {}
    if int8:
      images = comparison.normalize(weights.card, options.calibration)
      extras['calibration'] = images
    if options.preprocess:
      extras['preprocess'] = True
    if options.precision != precision:
      extras['half'] = True
    self.file.save(path, apply, variables, weights.card, seal, **extras)
    return self.load(path).run

  def load(self, path, trust=False):
    return artifact.read(path, self.file, trust)


class _MindSpore(Format):
  """A format that mindspore writes, in an environment of its own."""

  def cannot_save(self, mindspore):
    fault = mindir.cannot_export(mindspore)
    return f'--mindspore={mindspore} {fault}' if fault else ''

  def without_unsupported(self, weights):
    return exporter.without_aux(weights)


class _Mindir(_MindSpore):
  ending = '.mindir'
  not_loaded = 'a MINDIR is run by mindspore (ms.load, nn.GraphCell), not here'

  def save(self, weights, path, step, options=DEFAULTS):
    images = comparison.normalize(weights.card)
    logits, _ = mindir.save(weights, path, step, options.mindspore, images)
    # `compare` asks for the same images.
    return lambda images: {outputs.LOGITS: logits}


class _Air(_MindSpore):
  """A folder whose program writes the AIR; see `mindir.save_air`."""

  not_loaded = 'a folder for an Ascend device, not run here'
  next_step = (
    'an AIR is made on an Ascend device: run `python %s/export_air.py` on a '
    'machine that has mindspore and one; it writes network.air into the folder'
  )

  def save(self, weights, path, step, options=DEFAULTS):
    images = comparison.normalize(weights.card)
    logits = mindir.save_air(weights, path, step, options.mindspore, images)
    return lambda images: {outputs.LOGITS: logits}


@dataclasses.dataclass(frozen=True)
class _WeightFile(Format):
  """Weights of another framework; `name` is one of `exporter.FORMATS`."""

  name: str
  ending: str
  options: frozenset[str] = Format.options
  bounded = 'max_abs_diff'
  bound = 0.0
  not_loaded = 'a weight file, read by main.py and tools.predict --checkpoint='

  def without_unsupported(self, weights):
    return exporter.without_unsupported_aux(weights, self.name)

  def save(self, weights, path, step, options=DEFAULTS):
    exporter.save(weights, path, self.name)
    return importer.load(path)

  def compare(self, weights, read_back, options=DEFAULTS):
    return {'max_abs_diff': exporter.max_abs_diff(weights, read_back)}


class _Hub(Format):
  """A folder that timm loads by hf-hub:, without the auxiliary head."""

  bounded = 'max_abs_diff'
  bound = 0.0
  not_loaded = 'a folder of weights, read by tools.predict --checkpoint='

  def without_unsupported(self, weights):
    # Neither hf-hub: nor local-dir: of timm loads one.
    return exporter.without_aux(weights)

  def save(self, weights, path, step, options=DEFAULTS):
    hub_folder.save(weights, path)
    return importer.load(path)

  def compare(self, weights, read_back, options=DEFAULTS):
    return {'max_abs_diff': exporter.max_abs_diff(weights, read_back)}


_HALF = Format.options | {'precision'}
_OUTPUTS = _HALF | {'outputs'}
_LITERT = ('ai_edge_litert',)
_INT8 = Format.options | {'calibration'}
FORMATS: dict[str, Format] = {
  'onnx': _Runnable(
    onnx_file,
    '.onnx',
    converts=True,
    packages=('jax2onnx', 'onnx', 'onnxruntime'),
    options=_OUTPUTS | {'softmax', 'preprocess'},
  ),
  'stablehlo': _Runnable(
    stablehlo_file,
    '.stablehlo',
    portable=False,
    options=_OUTPUTS | {'softmax'},
  ),
  # It always has probabilities, and a signature with the preprocessing.
  'savedmodel': _Runnable(saved_model, options=_OUTPUTS),
  'litert': _Runnable(
    litert_file, '.tflite', converts=True, packages=_LITERT, options=_HALF
  ),
  'litert_int8': _Runnable(
    litert_file, '.tflite', packages=_LITERT, options=_INT8, bound=0.1
  ),
  'timm': _WeightFile('timm', '.safetensors'),
  # It has no metadata, hence no size.
  'mindcv': _WeightFile('mindcv', '.ckpt', options=frozenset()),
  'mindir': _Mindir(),
  'air': _Air(),
  'hub': _Hub(),
}
# Those that `load` reads.
LOADED = tuple(name for name, f in FORMATS.items() if not f.not_loaded)


def check_bound(
  name: str, differences: dict[str, Any], precision: str = 'float32'
) -> None:
  """Checks what `Format.compare` returned for the format `name`.

  Raises:
    RunError: the file differs too much from the network.
  """
  key, bound = FORMATS[name].bounded, FORMATS[name].bound
  if precision == 'float16':
    bound = max(bound, FLOAT16_BOUND)
  found = {key: differences[key], **differences.get('outputs', {})}
  for what, difference in found.items():
    if not difference <= bound:  # NaN is not
      raise RunError(
        f'--format={name} differs too much from the network: {what} is '
        f'{difference:.1e}, the bound is {bound:g}; nothing was written'
      )


def load(path: str, trust: bool = False) -> artifact.Artifact:
  """Reads an exported network of any format in `LOADED`; see `artifact.read`.

  Raises:
    UserError: there is none, it is damaged, not trusted, or was not exported
      by this project.
  """
  if not (os.path.isfile(path) or os.path.isdir(path)):
    raise UserError(f'{path}: no such artifact')
  if os.path.isfile(os.path.join(path, 'saved_model.pb')):
    return FORMATS['savedmodel'].load(path, trust)
  if hub.find(path):
    return FORMATS['hub'].load(path)
  for file_format in FORMATS.values():
    if file_format.ending and path.endswith(file_format.ending):
      return file_format.load(path, trust)
  endings = dict.fromkeys(FORMATS[name].ending for name in LOADED)
  known = ', '.join(f'*{ending}' for ending in endings if ending)
  raise UserError(f'{path}: expected {known} or the folder of a SavedModel')

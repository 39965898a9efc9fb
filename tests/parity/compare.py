"""Compares our networks with the results of reference.py."""

import functools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax

from inception_jax.models import architectures
from inception_jax.weights import convert
from inception_jax.weights import exporter
from inception_jax.weights import sources
from inception_jax.weights.convert import Weights
from tests.parity import cases
from tests.parity import formula
from tests.support.commands import EMITTERS
from tests.support.commands import HAS_EMITTERS

GOLDEN = pathlib.Path(__file__).parent / 'golden'
# Gradients below this fraction of the mean norm are rounding errors.
NOISE = 1e-2
_FRAMEWORKS = {
  'slim': 'TF-slim',
  'keras': 'Keras',
  'mindcv': 'MindCV',
  'mindspore': 'MindSpore',
}


def source_of(case: cases.Case) -> sources.Source:
  """Returns the source that a weight file of `case` must be recognized as."""
  framework = _FRAMEWORKS.get(case.source, case.source)
  (source,) = [
    s
    for s in sources.SOURCES
    if (s.framework, s.network_name) == (framework, case.network)
  ]
  return source


def tensors(reference, oihw: bool) -> dict[str, np.ndarray]:
  """Returns the weights by formula of the reference network."""
  shapes = json.loads(str(reference['tensors']))
  return {
    name: formula.tensor(name, tuple(shape), oihw)
    for name, shape in shapes.items()
  }


def golden_path(case: cases.Case) -> pathlib.Path:
  """Returns the path of the case's golden file, written by reference.py."""
  return GOLDEN / f'{case.name}-{case.golden}.npz'


def weights_of(case: cases.Case, reference) -> Weights:
  """Returns the weights by formula, as the import of a file returns them."""
  source = source_of(case)
  named = tensors(reference, source.style.oihw)
  return convert.to_weights(named, source, '', 'by formula')


# XLA's default emitters, whose sums are more exact than those of the tests.
_jit = functools.partial(
  jax.jit,
  static_argnums=0,
  compiler_options={EMITTERS: True} if HAS_EMITTERS else None,
)


@_jit
def _evaluate(model, variables, images):
  return model.apply(variables, images)[0]


def evaluation(case: cases.Case, weights, reference, size: int) -> float:
  """Returns the relative difference of the logits in evaluation."""
  model = architectures.create(weights.network)
  images = formula.images(case.batch, size)
  logits = _evaluate(model, weights.variables, images)
  if weights.network.head_batch_norm:  # then the reference returns log-softmax
    logits = jax.nn.log_softmax(logits)
  return relative(logits, reference['eval'])


@_jit
def _run(model, variables, images, labels):
  """Returns evaluation logits, training and auxiliary logits, and gradients."""
  cross_entropy = optax.softmax_cross_entropy_with_integer_labels

  def loss(params):
    (logits, aux), _ = model.apply(
      {**variables, 'params': params},
      images,
      train=True,
      mutable=['batch_stats'],
    )
    total = jnp.mean(cross_entropy(logits, labels))
    if aux is not None:
      total += cases.AUX_LOSS_WEIGHT * jnp.mean(cross_entropy(aux, labels))
    return total, (logits, aux)

  gradients, (logits, aux) = jax.grad(loss, has_aux=True)(variables['params'])
  return model.apply(variables, images)[0], logits, aux, gradients


def differences(
  case: cases.Case,
  weights: Weights,
  reference,
  size: int,
  rounding: bool = False,
) -> dict[str, float]:
  """Returns the largest relative difference of each kind.

  Args:
    case: the network to compare.
    weights: the imported weights.
    reference: the arrays that reference.py wrote.
    size: of the images.
    rounding: whether to measure also how much our gradient changes when each
      pixel changes to the next float32; smaller differences mean nothing.
  """
  model = architectures.create(weights.network)
  images = formula.images(case.batch, size)
  labels = formula.labels(case.batch, cases.NUM_CLASSES)
  evaluated, trained, aux, gradients = jax.device_get(
    _run(model, weights.variables, images, labels)
  )
  if weights.network.head_batch_norm:  # then the reference returns log-softmax
    evaluated, trained = map(jax.nn.log_softmax, (evaluated, trained))
  result = {
    'eval': relative(evaluated, reference['eval']),
    'train': relative(trained, reference['train']),
  }
  if 'aux' in reference:
    result['aux'] = relative(aux, reference['aux'])
  expected = dict(
    zip(
      json.loads(str(reference['gradient_names'])),
      reference['gradients'],
      strict=True,
    )
  )
  variables = {**weights.variables, 'params': gradients}
  actual = exporter.to_tensors(weights.network, variables, source_of(case))
  result.update(_gradient_differences(actual, expected))
  if rounding:
    moved = np.nextafter(images, np.float32(np.inf))
    *_, changed = jax.device_get(_run(model, weights.variables, moved, labels))
    result['rounding'] = _distance(gradients, changed)
  return result


def _distance(gradients, changed) -> float:
  """Returns the norm of the difference over the norm of `gradients`."""
  squares = lambda tree: sum(
    float(np.sum(np.square(x, dtype=np.float64))) for x in jax.tree.leaves(tree)
  )
  difference = jax.tree.map(np.subtract, gradients, changed)
  return np.sqrt(squares(difference) / squares(gradients))


def _gradient_differences(actual, expected) -> dict[str, float]:
  """Returns the relative differences of the gradient and of its worst tensor.

  The projection of a difference is on average as large as its norm, so that the
  squared projections add up to about the squared norm.
  """
  names = list(expected)
  projections, norms = np.array([expected[name] for name in names]).T
  errors = projections - [formula.projection(n, actual[n])[0] for n in names]
  whole = np.sqrt(np.sum(norms**2))
  # Others are rounding errors of 0, as that of a bias before a BatchNorm.
  significant = norms > NOISE * whole / np.sqrt(len(norms))
  return {
    'gradient': float(np.sqrt(np.sum(errors**2)) / whole),
    'tensor': float(np.max(np.abs(errors[significant]) / norms[significant])),
  }


def relative(actual, expected) -> float:
  """Returns the largest |difference| over the largest |expected|."""
  expected = np.asarray(expected, np.float64)
  assert actual.shape == expected.shape, (actual.shape, expected.shape)
  return float(np.abs(actual - expected).max() / np.abs(expected).max())

"""Our side: imports what the other side wrote, and compares."""

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

GOLDEN = pathlib.Path(__file__).parent / 'golden'
NOISE = 1e-2
_FRAMEWORKS = {
  'slim': 'TF-slim',
  'keras': 'Keras',
  'mindcv': 'MindCV',
  'mindspore': 'MindSpore',
}


def source_of(case: cases.Case) -> sources.Source:
  """What a file of `case` must be recognised as."""
  framework = _FRAMEWORKS.get(case.source, case.source)
  (source,) = [
    s
    for s in sources.SOURCES
    if (s.framework, s.network_name) == (framework, case.network)
  ]
  return source


def tensors(golden, oihw: bool) -> dict[str, np.ndarray]:
  """The weights that the other side had, by the formula."""
  shapes = json.loads(str(golden['tensors']))
  return {
    name: formula.tensor(name, tuple(shape), oihw)
    for name, shape in shapes.items()
  }


def golden_path(case: cases.Case) -> pathlib.Path:
  """Of what the other side has computed once."""
  return GOLDEN / f'{case.name}-{case.golden}.npz'


def weights_of(case: cases.Case, golden) -> Weights:
  """What the import of the other side's file gives, without the file."""
  source = source_of(case)
  named = tensors(golden, source.style.oihw)
  return convert.to_weights(named, source, '', 'by formula')


# The sums of a user's programs, wherever this is called from: those of the
# emitters that make the tests fast are less exact.
_jit = functools.partial(
  jax.jit,
  static_argnums=0,
  compiler_options={'xla_cpu_use_fusion_emitters': True},
)


@_jit
def _evaluate(model, variables, images):
  return model.apply(variables, images)[0]


def evaluation(case: cases.Case, weights: Weights, golden, size: int) -> float:
  """The relative difference of the logits in evaluation alone."""
  model = architectures.create(weights.network)
  images = formula.images(case.batch, size)
  logits = _evaluate(model, weights.variables, images)
  if weights.network.head_batch_norm:  # that network ends so
    logits = jax.nn.log_softmax(logits)
  return relative(logits, golden['eval'])


@_jit
def _run(model, variables, images, labels):
  """Logits in evaluation; logits and gradients in training."""
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
  golden,
  size: int,
  rounding: bool = False,
) -> dict[str, float]:
  """The largest relative difference of each kind.

  Args:
    case: what is compared.
    weights: as imported.
    golden: what the other side wrote.
    size: of the images.
    rounding: whether to measure, too, how far our own gradient moves when
      each pixel moves to the next float32: below that, nothing can agree.
  """
  model = architectures.create(weights.network)
  images = formula.images(case.batch, size)
  labels = formula.labels(case.batch, cases.NUM_CLASSES)
  evaluated, trained, aux, gradients = jax.device_get(
    _run(model, weights.variables, images, labels)
  )
  if weights.network.head_batch_norm:  # that network ends so
    evaluated, trained = map(jax.nn.log_softmax, (evaluated, trained))
  result = {
    'eval': relative(evaluated, golden['eval']),
    'train': relative(trained, golden['train']),
  }
  if 'aux' in golden:
    result['aux'] = relative(aux, golden['aux'])
  theirs = dict(
    zip(
      json.loads(str(golden['gradient_names'])),
      golden['gradients'],
      strict=True,
    )
  )
  variables = {**weights.variables, 'params': gradients}
  ours = exporter.to_tensors(weights.network, variables, source_of(case))
  result.update(_gradients(ours, theirs))
  if rounding:
    moved = np.nextafter(images, np.float32(np.inf))
    *_, others = jax.device_get(_run(model, weights.variables, moved, labels))
    result['rounding'] = _distance(gradients, others)
  return result


def _distance(gradients, others) -> float:
  """Of two gradients, as one vector each; relative."""
  squares = lambda tree: sum(
    float(np.sum(np.square(x, dtype=np.float64))) for x in jax.tree.leaves(tree)
  )
  apart = jax.tree.map(np.subtract, gradients, others)
  return np.sqrt(squares(apart) / squares(gradients))


def _gradients(ours, theirs) -> dict:
  """Of the gradient as one vector, and of the worst of its tensors.

  A projection of a difference is as large as its norm, on average, so that
  the squares of many add up to the square of the whole difference.
  """
  names = list(theirs)
  projections, norms = np.array([theirs[name] for name in names]).T
  missed = projections - [formula.projection(n, ours[n])[0] for n in names]
  whole = np.sqrt(np.sum(norms**2))
  # Where the true gradient is 0, as of a bias before a BatchNorm, all is noise.
  real = norms > NOISE * whole / np.sqrt(len(norms))
  return {
    'gradient': float(np.sqrt(np.sum(missed**2)) / whole),
    'tensor': float(np.max(np.abs(missed[real]) / norms[real])),
  }


def relative(ours, theirs) -> float:
  """The largest difference, over the largest of `theirs`."""
  theirs = np.asarray(theirs, np.float64)
  assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
  return float(np.abs(ours - theirs).max() / np.abs(theirs).max())

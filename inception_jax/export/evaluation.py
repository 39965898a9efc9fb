"""Evaluates an exported network on a split."""

import jax

from inception_jax.data.sources import registry
from inception_jax.evaluation import evaluate
from inception_jax.evaluation.evaluate import Found
from inception_jax.evaluation.evaluate import Options
from inception_jax.evaluation.evaluate import Prepared
from inception_jax.evaluation.evaluator import Evaluator
from inception_jax.export.artifact import Artifact
from inception_jax.weights import pretrained


def evaluate_artifact(
  config, artifact: Artifact, mesh: jax.sharding.Mesh, options: Options
) -> Found:
  """Evaluates a network that another program runs, on `data.eval_split`.

  Args:
    config: the whole config; its network is the artifact's.
    artifact: the network.
    mesh: the devices, which prepare the images and count.
    options: how to evaluate.

  Raises:
    UserError: it tells other classes apart than the split.
  """
  own = pretrained.with_network_of(config, artifact)
  split = registry.load(own, own.data.eval_split)
  answers = evaluate.labels_for(own, split, [artifact], options)
  evaluator = Evaluator([(own, artifact)], split, mesh, answers=answers)
  prepared = Prepared(evaluator, split, answers)
  return evaluate.run(prepared, own, options, [artifact.origin], {}, [None])

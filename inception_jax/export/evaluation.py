"""Evaluates an exported network on a split."""

import jax

from inception_jax.data.sources import registry
from inception_jax.evaluation import evaluate
from inception_jax.evaluation.evaluator import Evaluator
from inception_jax.export.artifact import Artifact


def evaluate_artifact(
  config, artifact: Artifact, mesh: jax.sharding.Mesh, options: evaluate.Options
) -> evaluate.Evaluated:
  """Evaluates a network that another program runs, on `data.eval_split`.

  `config` is from `pretrained.adopt_network`; the devices of `mesh` prepare the
  images and count.

  Raises:
    UserError: its classes differ from the split's.
  """
  split = registry.load(config, config.data.eval_split)
  labels = evaluate.labels_for(config, split, [artifact], options)
  evaluator = Evaluator([(config, artifact)], split, mesh, labels=labels)
  prepared = evaluate.Prepared(evaluator, split, labels)
  return evaluate.run(
    prepared, config.data, options, [artifact.origin], {}, [None]
  )

"""Evaluates an exported network, run by the program that it is for.

python -m inception_jax.tools.evaluate_artifact --artifact=v4.onnx \
    --config=configs/inception_v4.py --config.data.dir=DIR

ONNX is run by onnxruntime, a SavedModel by TensorFlow, StableHLO by JAX. The
config says which images: they are prepared as the artifact's card wants it, by
the same pipeline as in `main.py --mode=eval`, and counted by the same code.
"""

import os

from absl import flags
from ml_collections import config_flags

from inception_jax.errors import UserError
from inception_jax.runtime import cli

_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'The recipe whose data are evaluated.'
)

_ARTIFACT = flags.DEFINE_string('artifact', '', 'What tools.export wrote.')

_LABELS = flags.DEFINE_string(
  'labels', '', "JSON file of the right classes, in place of the split's own."
)

_CLASSES = flags.DEFINE_string(
  'classes', '', 'File with the only classes that count, one a line.'
)

_OUTPUT = flags.DEFINE_string(
  'output', '', 'The folder for predictions.csv and evaluation.json.'
)


def main():
  """Loads, evaluates."""
  config, path = _CONFIG.value, os.path.expanduser(_ARTIFACT.value)
  faults = []
  if config is None:
    faults.append('--config is missing, for example configs/digits.py')
  if not path:
    faults.append('--artifact is missing: what tools.export wrote')
  if faults:
    raise UserError(*faults)

  from inception_jax.distributed import sharding
  from inception_jax.evaluation import evaluate
  from inception_jax.export import artifact as artifact_lib
  from inception_jax.export import evaluation
  from inception_jax.training import preflight
  from inception_jax.weights import pretrained

  artifact = artifact_lib.load(path)
  output = os.path.expanduser(_OUTPUT.value)
  own = pretrained.with_network_of(config, artifact)
  preflight.check(own, '', train=False, output=output)
  options = evaluate.Options(
    labels=_LABELS.value, classes=_CLASSES.value, output=output
  )
  mesh = sharding.make_mesh()
  return evaluation.evaluate_artifact(config, artifact, mesh, options).result


if __name__ == '__main__':
  cli.run(main)

"""Evaluates an exported network in the runtime that it was exported for.

python -m inception_jax.tools.evaluate_artifact --artifact=v4.onnx \
    --config=configs/inception_v4.py --config.data.dir=DIR

onnxruntime runs ONNX, TensorFlow a SavedModel, LiteRT a .tflite and JAX
StableHLO. The config selects the images. They are preprocessed as the
artifact's metadata says, by the same pipeline as in `main.py --mode=eval`, and
scored by the same code.
"""

from absl import flags
from ml_collections import config_flags

from inception_jax.errors import UserError
from inception_jax.runtime import cli
from inception_jax.runtime import device_flags

flags.adopt_module_key_flags(device_flags)
_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'Recipe whose data are evaluated.'
)
_ARTIFACT = cli.define_path(
  'artifact', 'File or folder written by tools.export.'
)
_TRUST = flags.DEFINE_bool(
  'trust', False, 'Run an artifact that is not as tools.export writes them.'
)
_LABELS = cli.define_path(
  'labels', 'JSON file of correct classes that replace those of the split.'
)
_CLASSES = cli.define_path(
  'classes', 'File with the only classes that may be predicted, one a line.'
)
_OUTPUT = cli.define_path(
  'output', 'Folder for predictions.csv and evaluation.json.'
)


def main():
  """Loads the network and evaluates it."""
  config, path = _CONFIG.value, _ARTIFACT.value
  faults = []
  if config is None:
    faults.append('--config is missing, for example configs/digits.py')
  if not path:
    faults.append('--artifact is missing: a file written by tools.export')
  if faults:
    raise UserError(*faults)

  from inception_jax.distributed import sharding
  from inception_jax.evaluation import evaluate
  from inception_jax.export import evaluation
  from inception_jax.export import formats
  from inception_jax.training import preflight
  from inception_jax.weights import pretrained

  devices = device_flags.choose()
  artifact = formats.load(path, _TRUST.value)
  output = _OUTPUT.value
  config = pretrained.adopt_network(config, artifact)
  preflight.check(config, '', train=False, output=output)
  options = evaluate.Options(
    labels=_LABELS.value, classes=_CLASSES.value, output=output
  )
  mesh = sharding.make_mesh(devices)
  return evaluation.evaluate_artifact(config, artifact, mesh, options).result


if __name__ == '__main__':
  cli.run(main)

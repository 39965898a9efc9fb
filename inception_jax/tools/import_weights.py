"""Imports trained weights of another framework as a checkpoint.

python -m inception_jax.tools.import_weights \
    --weights=inception_v4.tf_in1k.safetensors --output=runs/timm_v4

Reads timm's safetensors, also in parts (their .index.json), .pth, .bin and
.pth.tar, torchvision's .pth, Lightning's .ckpt, Keras's .h5 and .keras,
TF-slim's checkpoints, weiaicunzai/pytorch-cifar100's .pth, MindSpore's and
MindCV's .ckpt, and hf-hub:OWNER/NAME or a downloaded folder of the hub. The
tensor names determine the network, which may be part of a larger model.
Evaluate the output with main.py --mode=eval --workdir=OUTPUT, or fine-tune it
with main.py --config.fine_tune.checkpoint=OUTPUT.

One dense layer on the pooled features is the classifier, whatever its name.
With another head or none, the output has no classifier: fine-tuning adds one.
The names in --class_names= appear in predictions and exported files, and match
the folders of an evaluation set.
"""

import dataclasses
import os
from typing import Any

from absl import flags
from ml_collections import config_flags

from inception_jax.errors import UserError
from inception_jax.runtime import cli
from inception_jax.runtime import device_flags
from inception_jax.runtime import files

flags.adopt_module_key_flags(device_flags)
_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'Recipe for the network; must agree with the weights.'
)
_WEIGHTS = cli.define_path(
  'weights', 'File, folder of the hub, or hf-hub:OWNER/NAME.'
)
_CLASSES = cli.define_path(
  'class_names', 'File with the names of the outputs, one a line.'
)
_OUTPUT = cli.define_path('output', 'Folder to create.')


def main() -> dict[str, Any]:
  """Imports the weights; writes nothing if anything is wrong."""
  output = _OUTPUT.value
  _check_flags(output)

  from inception_jax.checkpointing import lookup
  from inception_jax.checkpointing import manager
  from inception_jax.config import serialization
  from inception_jax.evaluation import labels
  from inception_jax.models import metadata
  from inception_jax.training import train_state
  from inception_jax.weights import importer
  from inception_jax.weights import pretrained

  device_flags.choose()
  weights = importer.load(_WEIGHTS.value)
  if _CLASSES.value and not weights.network.num_classes:
    raise UserError(f'--class_names: {_WEIGHTS.value} has no classifier')
  if _CLASSES.value:
    classes = labels.class_names(_CLASSES.value, weights.network.num_classes)
    weights = dataclasses.replace(weights, classes=classes)
  if (config := _CONFIG.value) is not None:
    config = pretrained.resolve(config, weights)
    expected, number = config.model.num_classes, weights.network.num_classes
    if number and expected not in (0, number):
      raise UserError(
        f'model.num_classes={expected}, but {weights.origin} has {number}'
      )
  about = metadata.to_dict(weights.network, weights.card, weights.classes)
  with files.atomic_path(output) as unfinished:
    folder = lookup.checkpoint_folder(unfinished)
    state = train_state.from_weights(weights.variables)
    with manager.CheckpointManager(folder) as checkpoints:
      checkpoints.save(vars(state), {}, about)
    if config is not None:
      with open(os.path.join(unfinished, 'config.json'), 'w') as file:
        file.write(serialization.to_json(config))
  return {
    'origin': weights.origin,
    'model': about['model'],
    'card': about['card'],
    'parameters': train_state.num_params(weights.variables['params']),
    'output': output,
  }


def _check_flags(output: str) -> None:
  faults = []
  if not _WEIGHTS.value:
    faults.append('--weights is missing: the file to import')
  if not output:
    faults.append('--output is missing: the folder for the imported network')
  elif os.path.lexists(output):
    faults.append(f'--output={output} already exists')
  elif fault := files.cannot_write(os.path.dirname(os.path.abspath(output))):
    faults.append(f'--output={output} cannot be written: {fault}')
  if faults:
    raise UserError(*faults)


if __name__ == '__main__':
  cli.run(main)

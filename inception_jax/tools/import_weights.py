"""Imports a trained network of another framework.

python -m inception_jax.tools.import_weights \
    --weights=inception_v4.tf_in1k.safetensors --output=runs/timm_v4

Reads timm's safetensors and .pth, torchvision's .pth, Keras's .h5 and .keras,
TF-slim's checkpoints, weiaicunzai/pytorch-cifar100's .pth, MindSpore's and
MindCV's .ckpt; the network is recognised from the file. The output can be
evaluated (main.py --mode=eval --workdir=OUTPUT) and fine-tuned
(main.py --config.fine_tune.checkpoint=OUTPUT). With --class_names=, what is
predicted and exported of it has names, and folders are evaluated by name.
"""

import dataclasses
import os

from absl import flags
from ml_collections import config_flags

from inception_jax.errors import UserError
from inception_jax.runtime import cli
from inception_jax.runtime import files

FLAGS = flags.FLAGS

_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'The recipe that the network is meant for; checked with it.'
)

_WEIGHTS = flags.DEFINE_string('weights', '', 'The file.')

_CLASSES = flags.DEFINE_string(
  'class_names', '', 'File with the names of the outputs, one a line.'
)

_OUTPUT = flags.DEFINE_string('output', '', 'The folder to be made.')


def main():
  """Reads, checks, and only then writes."""
  path, output = _WEIGHTS.value, os.path.expanduser(_OUTPUT.value)
  faults = [
    f'--{flag} is missing: {meaning}'
    for flag, value, meaning in (
      ('weights', path, 'the file to import'),
      ('output', output, 'the folder for the imported network'),
    )
    if not value
  ]
  if os.path.lexists(output):
    faults.append(f'--output={output} is there already')
  if faults:
    raise UserError(*faults)

  from inception_jax.checkpointing import lookup
  from inception_jax.checkpointing import manager
  from inception_jax.config import serialization
  from inception_jax.evaluation import labels
  from inception_jax.models import factory
  from inception_jax.training import train_state
  from inception_jax.weights import importer
  from inception_jax.weights import pretrained

  parent = os.path.dirname(os.path.abspath(output))
  if fault := files.cannot_write(parent):
    raise UserError(f'--output={output} cannot be written: {fault}')
  weights = importer.load(path)
  if _CLASSES.value:
    number = weights.model['num_classes']
    classes = labels.class_names(_CLASSES.value, number)
    weights = dataclasses.replace(weights, classes=classes)
  config = _CONFIG.value
  if config is not None:
    config = pretrained.resolve(config, weights)
    wanted, there = config.model.num_classes, weights.model['num_classes']
    if wanted not in (0, there):
      raise UserError(
        f'model.num_classes={wanted}, but {weights.origin} has {there}'
      )

  os.makedirs(parent, exist_ok=True)
  with files.atomic_path(output) as unfinished:
    with manager.CheckpointManager(
      lookup.checkpoint_folder(unfinished)
    ) as checkpoints:
      checkpoints.save(
        train_state.from_weights(weights.variables),
        {},
        factory.about(weights.model, weights.card, weights.classes),
      )
    if config is not None:
      with open(os.path.join(unfinished, 'config.json'), 'w') as file:
        file.write(serialization.to_json(config))
  return {
    'origin': weights.origin,
    'model': weights.model,
    'card': dataclasses.asdict(weights.card),
    'parameters': train_state.num_params(weights.variables['params']),
    'output': output,
  }


if __name__ == '__main__':
  cli.run(main)

"""Imports a trained network of another framework.

python -m inception_jax.tools.import_weights \\
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

from inception_jax import cli
from inception_jax.config import UserError

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

  from inception_jax import answers
  from inception_jax import checkpoints as checkpoints_lib
  from inception_jax import config as config_lib
  from inception_jax import models
  from inception_jax import preflight
  from inception_jax import pretrained
  from inception_jax import runs
  from inception_jax import state
  from inception_jax import weights as weights_lib

  parent = os.path.dirname(os.path.abspath(output))
  if fault := preflight.cannot_write(parent):
    raise UserError(f'--output={output} cannot be written: {fault}')
  weights = weights_lib.load(path)
  if _CLASSES.value:
    number = weights.model['num_classes']
    classes = answers.class_names(_CLASSES.value, number)
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
  with cli.whole_or_nothing(output) as unfinished:
    with checkpoints_lib.Checkpoints(runs.folder(unfinished)) as checkpoints:
      checkpoints.save(
        state.of_weights(weights.variables),
        {},
        models.about(weights.model, weights.card, weights.classes),
      )
    if config is not None:
      with open(os.path.join(unfinished, 'config.json'), 'w') as file:
        file.write(config_lib.to_json(config))
  return {
    'origin': weights.origin,
    'model': weights.model,
    'card': dataclasses.asdict(weights.card),
    'parameters': state.num_params(weights.variables['params']),
    'output': output,
  }


if __name__ == '__main__':
  cli.run(main)

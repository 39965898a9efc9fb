"""What transfer.py trains, on which images: for main.py, and for Keras."""

import itertools
import pathlib
import shutil

import numpy as np

from configs import fine_tune_folder as recipe
from inception_jax.data import pipeline
from inception_jax.distributed import sharding
from inception_jax.training import run as run_lib
from tests.parity import run

RUNS = run.ROOT / 'runs' / 'transfer'
WEIGHTS = RUNS / 'start.weights.h5'
SIZE = 139  # of the images
BATCH = 40
# What is trained: our patterns of what is frozen, Keras's last frozen layer
# ('': the whole body), and the learning rate. BatchNorm is frozen everywhere.
TRAINED = {
  'head': (('!head', '*'), '', 0.3),
  'head, mixed_7a–c': (('*/bn', '!head', '!mixed_7*', '*'), 'mixed7', 0.003),
}
_CLASSES = 10
_SEED = 0
_MOMENTUM = 0.9
_OVERRIDES = {
  'seed': _SEED,
  'model.dropout_rate': 0.0,
  'data.dir': str(RUNS / 'images'),
  'data.image_size': SIZE,
  'data.train_crop': 'none',
  'data.flip': False,
  'data.eval_split': 'test',
  'data.eval_crop_mode': 'squash',
  'batch_size': BATCH,
  'log_every': '1 epoch',
  'optimizer.momentum': _MOMENTUM,
  'optimizer.rates': (),
  # Constant: Keras has the rate inside the momentum, main.py outside.
  'schedule.name': 'constant',
  'schedule.batch_size': 0,
  'schedule.warmup': '0 steps',
  'fine_tune.checkpoint': str(WEIGHTS),
  'label_smoothing': 0.0,
  'weight_decay': 0.0,
  'ema_decay': 0.0,
  'precision': 'float32',
}


def copy_images(data: pathlib.Path, number: int) -> None:
  """Copies the first images of each class of both sets, `number` of a set."""
  shutil.rmtree(RUNS / 'images', ignore_errors=True)
  for split in ('train', 'test'):
    classes = sorted(x for x in (data / split).iterdir() if x.is_dir())
    assert len(classes) == _CLASSES, classes
    for source in classes:
      target = RUNS / 'images' / split / source.name
      target.mkdir(parents=True)
      for image in sorted(source.iterdir())[: number // len(classes)]:
        shutil.copy(image, target)


def overrides(trained: str, epochs: int) -> dict:
  """Returns the keys of our config that differ from the recipe's."""
  freeze, _, rate = TRAINED[trained]
  whole = f'{epochs} epochs'
  return {
    **_OVERRIDES,
    'fine_tune.freeze': freeze,
    'schedule.learning_rate': rate,
    'train_for': whole,
    'eval_every': whole,
    'checkpoint_every': whole,
  }


def settings(trained: str, epochs: int, jit: bool | str) -> dict:
  """Returns the same, as keras_transfer.py reads it."""
  _, frozen_to, rate = TRAINED[trained]
  return {
    'weights': str(WEIGHTS),
    'seed': _SEED,
    'size': SIZE,
    'classes': _CLASSES,
    'frozen_to': frozen_to,
    'rate': rate,
    'momentum': _MOMENTUM,
    'batch_size': BATCH,
    'epochs': epochs,
    'jit': jit,
  }


def save_arrays(epochs: int) -> dict[str, str]:
  """Saves the batches that main.py trains on, and the test images.

  Returns:
    The files of 'train_images' and 'test_images', uint8 [N, S, S, 3], and
    'train_labels' and 'test_labels', int32 [N].
  """
  config = recipe.get_config()
  config.update_from_flattened_dict(overrides('head', epochs))
  prepared = run_lib.prepare(config, str(RUNS), sharding.make_mesh())
  config, rows = prepared.config, range(BATCH)
  train = pipeline.train_batches(prepared.split, config, 0, rows)
  tested = prepared.eval_split
  streams = {
    'train': list(itertools.islice(train, prepared.plan.total)),
    'test': list(pipeline.eval_batches(tested, config.data, BATCH, rows)),
  }
  paths = {}
  for split, batches in streams.items():
    for key in ('image', 'label'):
      values = np.concatenate([batch[key] for batch in batches])
      if split == 'test':
        values = values[: tested.size]  # the rest is padding
      path = RUNS / f'{split}_{key}s.npy'
      np.save(path, values)
      paths[path.stem] = str(path)
  return paths

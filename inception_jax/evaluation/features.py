"""Features of every image of a split, and files of them."""

import json
from typing import Any
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from inception_jax import errors
from inception_jax.data import order
from inception_jax.data import pipeline
from inception_jax.data import splits
from inception_jax.data.augment import transforms
from inception_jax.data.bad_images import BadImages
from inception_jax.distributed import sharding
from inception_jax.errors import UserError
from inception_jax.evaluation import members
from inception_jax.models import features as features_lib
from inception_jax.runtime import files
from inception_jax.runtime import progress_bar

METADATA = 'inception_jax'  # key of the metadata in a Parquet file's schema


class Features(NamedTuple):
  """One row for each image that can be decoded, in the order of the split.

  Attributes:
    values: float32 [N, C].
    labels: int32 [N], those of the split.
    names: of the images, or their record numbers.
    failed: why the others cannot be decoded, by name.
  """

  values: np.ndarray
  labels: np.ndarray
  names: list[str]
  failed: dict[str, str]


def end_points(model) -> tuple[str, ...]:
  """Returns what `extract` can compute: stages, 'pooled' and 'logits'."""
  stages = (name for name, _ in model.table)
  return (*stages, 'pooled', *(['logits'] if model.num_classes else []))


def make_forward(config, model, end_point: str = 'pooled'):
  """Returns `(variables, uint8 [B, S, S, C]) → float32 [B, C']`."""

  def forward(variables, images):
    images = transforms.normalize(images, config.data)
    output = features_lib.features(model, variables, images)[end_point]
    output = output.astype(jnp.float32)
    return output.mean(axis=(1, 2)) if output.ndim == 4 else output

  return forward


def make_view_forward(config, model):
  """Returns pooled features of augmented images, drawn by their positions.

  The function is `(variables, {'image': uint8 [B, S, S, C], 'position': int32
  [B]}) → float32 [B, C']`. Its draws depend on `config.seed` and the position
  alone.
  """
  data, of_images = config.data, make_forward(config, model)

  def view(position, image):
    key = jax.random.fold_in(jax.random.key(config.seed), position)
    return transforms.view(key, image, data)

  def forward(variables, batch):
    images = jax.vmap(view)(batch['position'], batch['image'])
    return of_images(variables, images)

  return forward


def extract(
  config,
  model,
  variables: dict[str, Any],
  split,
  mesh: jax.sharding.Mesh,
  end_point: str = 'pooled',
) -> Features:
  """Computes the features of every image once, in one process.

  Args:
    config: resolved; gives preprocessing, views, precision and batch size. The
      features of several views are averaged.
    model: the network.
    variables: {'params', 'batch_stats'}.
    split: the images.
    mesh: the devices, over which a batch is sharded.
    end_point: one of `end_points`; the grid of a stage is averaged.

  Raises:
    UserError: the split is empty, no image can be decoded, or more than
      `data.max_bad_fraction` of them cannot.
  """
  if not split.size:
    raise UserError('there are no images')

  forward = members.jit_of_rows(
    config, make_forward(config, model, end_point), mesh
  )
  member = members.Member(config, forward, mesh)
  variables = sharding.replicate(mesh, variables)
  batch_size = min(config.batch_size, split.size)
  batch_size = sharding.round_up(batch_size, mesh)
  bad = BadImages(split, config.data)
  batches = pipeline.eval_batches(
    split, config.data, batch_size, range(batch_size), bad
  )
  total = order.num_eval_batches(split, batch_size)
  values, labels, decoded = [], [], []
  for batch in progress_bar.track(batches, total, 'features', 'batches'):
    labels.append(batch.pop('label'))
    decoded.append(batch.pop('mask') > 0)
    summed = 0.0
    for output in member.outputs(variables, sharding.to_global(mesh, batch)):
      jax.block_until_ready(summed)  # at most one view ahead
      summed += output
    values.append(summed / len(member.views))
    if len(values) > 1:  # at most one batch ahead
      values[-2] = np.asarray(values[-2])
  rows = np.flatnonzero(np.concatenate(decoded)[: split.size])
  if len(rows) != split.size - len(bad.substitutes):
    raise RuntimeError(f'{len(rows)} of {split.size} images have features')
  names = list(map(errors.printable, splits.record_names(split)))
  return Features(
    np.concatenate(values)[rows],
    np.concatenate(labels)[rows],
    [names[row] for row in rows],
    bad.reasons,
  )


def write(
  path: str,
  features: Features,
  class_names: tuple[str, ...],
  metadata: dict[str, Any],
) -> None:
  """Writes a .npz or .parquet file, atomically.

  Args:
    path: of the file, ends in .npz or .parquet.
    features: the rows.
    class_names: one for each label; () if the labels are unknown.
    metadata: stored as JSON.

  Raises:
    UserError: something has been written there in the meantime.
  """
  text = json.dumps(metadata)
  save = _save_npz if path.endswith('.npz') else _save_parquet
  with files.atomic_path(path) as unfinished:
    save(unfinished, features, class_names, text)


def _save_npz(path, features, class_names, metadata) -> None:
  arrays = {'features': features.values, 'names': np.array(features.names)}
  if class_names:
    arrays['labels'] = features.labels
    arrays['class_names'] = np.array(class_names)
  with open(path, 'wb') as file:
    np.savez(file, **arrays, metadata=np.array(metadata))


def _save_parquet(path, features, class_names, metadata) -> None:
  import pyarrow
  from pyarrow import parquet

  flat, dimension = features.values.reshape(-1), features.values.shape[1]
  columns = {
    'name': pyarrow.array(features.names, pyarrow.string()),
    'features': pyarrow.FixedSizeListArray.from_arrays(flat, dimension),
  }
  if class_names:
    columns['label'] = pyarrow.array(features.labels)
    columns['class'] = pyarrow.array([class_names[i] for i in features.labels])
  table = pyarrow.table(columns)
  parquet.write_table(table.replace_schema_metadata({METADATA: metadata}), path)

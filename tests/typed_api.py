"""A program that uses the public names, for mypy: `make lint` checks it.

Each `type: ignore` is a mistake that mypy must find, or the comment is one.
Nothing runs this file.
"""

from typing import assert_type

import jax
import numpy as np
from PIL import Image

import inception_jax
from inception_jax import Accuracy
from inception_jax import Card
from inception_jax import Inception
from inception_jax import ModelInfo
from inception_jax import Pretrained
from inception_jax import UserError
from inception_jax import create_model
from inception_jax import features
from inception_jax import list_models
from inception_jax import load_pretrained
from inception_jax import model_info
from inception_jax.fid import Statistics


def networks() -> None:
  assert_type(inception_jax.__version__, str)
  assert_type(list_models(), list[str])
  assert_type(list_models(['cifar_*', '*_v4'], weights='timm'), list[str])
  info = model_info('inception_v4')
  assert_type(info, ModelInfo)
  assert_type(info.parameters_with_aux_head, int | None)
  assert_type(info.accuracies, tuple[Accuracy, ...])
  assert_type(info.accuracies[0].top5, float | None)
  model = create_model('inception_v4', num_classes=0, width=0.5, stem='small')
  assert_type(model, Inception)
  assert_type(model.card, Card)
  assert_type(model.num_classes, int)

  list_models(weights=['timm'])  # type: ignore[arg-type]
  model_info(3)  # type: ignore[arg-type]
  info.parameters = 3  # type: ignore[misc]
  create_model('inception_v4', widht=0.5)  # type: ignore[call-arg]
  create_model('inception_v4', num_classes='10')  # type: ignore[arg-type]
  create_model('inception_v4', frozen='*')  # type: ignore[arg-type]
  inception_jax.create_modle('x')  # type: ignore[attr-defined]


def images(card: Card) -> None:
  picture = Image.open('cat.jpg')
  pixels = np.zeros((9, 9, 3), np.uint8)
  for one in ('cat.jpg', b'', picture, pixels):
    assert_type(card.preprocess(one), np.ndarray)
  card.preprocess(['cat.jpg', picture, pixels])
  assert_type(card.image_shape, tuple[int, int, int])

  card.preprocess(3)  # type: ignore[arg-type]
  card.preprocess([1, 2])  # type: ignore[list-item]
  card.input_size = 3  # type: ignore[misc]
  Card(crop='squash')  # type: ignore[call-arg]


def weights() -> None:
  loaded = load_pretrained('runs/mine', num_classes=3)
  assert_type(loaded, Pretrained)
  model, variables, card = loaded
  assert_type(model, Inception)
  assert_type(card, Card)
  seen = features(model, variables, card.preprocess('cat.jpg'), ['pooled'])
  assert_type(seen['pooled'], jax.Array)

  load_pretrained('runs/mine', classes=3)  # type: ignore[call-arg]
  load_pretrained(3)  # type: ignore[arg-type]
  features(model, variables)  # type: ignore[call-arg]
  features(variables, model, card)  # type: ignore[arg-type]


def distances(features: jax.Array) -> None:
  statistics = Statistics.empty(2048).update(features)
  assert_type(statistics, Statistics)
  assert_type(statistics.merge(statistics).distance(statistics), float)

  Statistics.empty('2048')  # type: ignore[arg-type]
  statistics.merge(features)  # type: ignore[arg-type]


def mistakes(error: UserError) -> None:
  assert_type(error.faults, tuple[str, ...])

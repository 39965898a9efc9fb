"""Precision and recall, density and coverage.

Balls around the images of one kind, each as large as the distance to its k-th
nearest neighbour of the same kind, against the images of the other kind.
"""

from typing import NamedTuple

import numpy as np

from inception_jax.errors import UserError
from inception_jax.runtime import progress_bar

_VALUES = 2**24  # distances at a time: 128 MB


class Scores(NamedTuple):
  """Fractions; density alone may exceed 1.

  Attributes:
    precision: fake images within the ball of any real one.
    recall: real images within the ball of any fake one.
    density: balls of real images that a fake one is within, on average, in
      units of the neighbours.
    coverage: real images with a fake one within their ball.
  """

  precision: float
  recall: float
  density: float
  coverage: float


def scores(
  real: np.ndarray,
  fake: np.ndarray,
  *,
  neighbours: int = 3,
  density_neighbours: int = 5,
) -> Scores:
  """Returns all four scores, of distances in float64.

  Args:
    real: features, float [N, D].
    fake: features, float [M, D].
    neighbours: k of precision and recall (Kynkäänniemi et al.,
      arXiv:1904.06991): a ball has its surface, as in torch-fidelity.
    density_neighbours: k of density and coverage (Naeem et al.,
      arXiv:2002.09797): a ball is without its surface, as in their `prdc`.

  Raises:
    UserError: there are no more images than neighbours.
  """
  most = max(neighbours, density_neighbours)
  if (fewest := min(len(real), len(fake))) <= most:
    raise UserError(
      f'precision and recall: {fewest} images do not have {most} neighbours'
    )
  real, fake = real.astype(np.float64), fake.astype(np.float64)
  of_real = _radii(real, [neighbours, density_neighbours], 'real images')
  of_fake = _radii(fake, [neighbours], 'fake images')
  hit = np.zeros(len(fake), bool)
  balls = np.zeros(len(fake), np.int64)
  recalled = covered = 0
  for rows, squares in _blocks(real, fake, 'real and fake images'):
    near, dense = of_real[rows, :, None].transpose(1, 0, 2)
    hit |= (squares <= near).any(0)
    balls += (squares < dense).sum(0)
    recalled += int((squares <= of_fake[:, 0]).any(1).sum())
    covered += int((squares.min(1) < dense[:, 0]).sum())
  return Scores(
    float(hit.mean()),
    recalled / len(real),
    float(balls.mean()) / density_neighbours,
    covered / len(real),
  )


def _radii(features, neighbours: list[int], description: str) -> np.ndarray:
  """Returns the squared distance to each k-th neighbour, [N, K]."""
  found = np.empty((len(features), len(neighbours)))
  for rows, squares in _blocks(features, features, description):
    np.fill_diagonal(squares[:, rows], 0.0)  # of an image to itself
    found[rows] = np.partition(squares, neighbours, axis=1)[:, neighbours]
  return found


def _blocks(x, y, description: str):
  """Yields rows of x, and their squared distances to y, [rows, len(y)]."""
  size = max(1, _VALUES // len(y))
  starts = range(0, len(x), size)
  own, others = (np.einsum('nd,nd->n', z, z) for z in (x, y))
  for start in progress_bar.track(starts, len(starts), description, 'blocks'):
    rows = slice(start, start + size)
    squares = own[rows, None] + others - 2 * (x[rows] @ y.T)
    yield rows, np.maximum(squares, 0.0, out=squares)

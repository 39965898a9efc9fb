"""How well features separate classes: neighbours and a linear classifier.

Both are scikit-learn's, and deterministic.
"""

import numpy as np

from inception_jax.errors import UserError
from inception_jax.evaluation.features import Features

_FOLDS = 5
_MOST_ITERATIONS = 1000


def nearest_neighbours(
  k: int, known: Features, held_out: Features | None = None
) -> float:
  """Returns the accuracy of the majority of the k nearest neighbours.

  By cosine similarity; of several classes with as many neighbours, the first
  one wins. Without `held_out`, each image is classified by all others.

  Raises:
    UserError: there are not as many neighbours.
  """
  from sklearn import neighbors

  most = len(known.labels) - (held_out is None)
  if k > most:
    raise UserError(f'--knn={k}: an image has {most} neighbours')
  classifier = neighbors.KNeighborsClassifier(
    k, metric='cosine', algorithm='brute'
  )
  classifier.fit(known.values, known.labels)
  if held_out is None:  # of None, scikit-learn leaves each one out
    return float(classifier.score(None, known.labels))
  return float(classifier.score(held_out.values, held_out.labels))


def linear_probe(known: Features, held_out: Features | None = None) -> float:
  """Returns the accuracy of a logistic regression on standardized features.

  Without `held_out`, it is the mean of five folds with equal shares of each
  class; of fewer, if a class has fewer images.

  Raises:
    UserError: there is only one class, or a class has only one image and none
      are held out.
  """
  from sklearn import linear_model
  from sklearn import model_selection
  from sklearn import pipeline
  from sklearn import preprocessing

  classes, counts = np.unique(known.labels, return_counts=True)
  if len(classes) < 2:
    raise UserError('--linear_probe needs images of two classes')
  probe = pipeline.make_pipeline(
    preprocessing.StandardScaler(),
    linear_model.LogisticRegression(max_iter=_MOST_ITERATIONS),
  )
  if held_out is not None:
    probe.fit(known.values, known.labels)
    return float(probe.score(held_out.values, held_out.labels))
  if counts.min() < 2:
    raise UserError(
      '--linear_probe needs two images of each class, or --held_out='
    )
  scores = model_selection.cross_val_score(
    probe, known.values, known.labels, cv=min(_FOLDS, int(counts.min()))
  )
  return float(scores.mean())

import jax
import jax.numpy as jnp
import numpy as np

from inception_jax import metrics
from inception_jax.training import losses


def test_hits_rank_ties_by_class_and_miss_rows_with_nan():
  logits = jnp.array(
    [
      [5.0, 4.0, 3.0, 2.0, 1.0, 0.0],
      [1.0, 1.0, 0.0, 0.0, 0.0, 0.0],
      [1.0, jnp.nan, 0.0, 0.0, 0.0, 0.0],
    ]
  )
  hits = lambda label, k: metrics.hits(
    logits, jnp.full((3,), label), k
  ).tolist()
  assert hits(0, 1) == [True, True, False]
  assert hits(1, 1) == [False, False, False]
  assert hits(1, 2) == [True, True, False]
  assert hits(4, 5) == [True, True, False]
  assert hits(5, 5) == [False, False, False]


def test_top1_equals_argmax():
  logits = jax.random.normal(jax.random.key(0), (50, 7))
  labels = jnp.arange(50) % 7
  np.testing.assert_array_equal(
    metrics.hits(logits, labels, 1), logits.argmax(-1) == labels
  )


def test_masked_rows_do_not_count():
  logits = jnp.array([[2.0, 0.0], [0.0, 2.0], [jnp.nan, jnp.nan]])
  labels = jnp.array([0, 0, 0])
  loss = losses.cross_entropy(logits, jax.nn.one_hot(labels, 2), 0.0)
  sums = metrics.sums(loss, logits, labels, jnp.array([1.0, 1.0, 0.0]))
  assert float(sums['count']) == 2
  assert float(sums['top1']) == 1
  np.testing.assert_allclose(sums['loss'], loss[0] + loss[1])


def test_means_divide_totals_over_batches():
  batch = {'loss': np.float32(3), 'top1': 1, 'top5': 2, 'count': 2}
  padded = {'loss': np.float32(1), 'top1': 1, 'top5': 1, 'count': 1}
  assert metrics.means(metrics.add([batch, padded])) == {
    'loss': 4 / 3,
    'top1': 2 / 3,
    'top5': 1.0,
    'count': 3,
  }
  by_class = {'class_top1': [1, 0, 0], 'class_count': [1, 1, 0]}
  more = {'class_top1': [0, 0, 0], 'class_count': [1, 0, 0]}
  sums = metrics.add([batch | by_class, padded | more])
  # Of two of the three classes: 1 of 2 images, and 0 of 1.
  assert metrics.means(sums)['balanced_accuracy'] == 0.25
  nothing = metrics.means({'loss': 0.0, 'top1': 0.0, 'top5': 0.0, 'count': 0.0})
  assert nothing['count'] == 0 and np.isnan(nothing['loss'])

"""Checks of encoded images in TensorFlow's graph, and counts of their bytes."""

from inception_jax.data.lazy import tf

MOST_COUNTED = 10_000


def is_small(width, height, limit: int):
  """Returns a check, as `first_problem` takes them, of the number of pixels."""
  return (
    # Not by their product, which may overflow.
    width <= limit // tf.maximum(height, 1),
    f'{{}}×{{}} is more than data.max_pixels={limit}',
    (width, height),
  )


def first_problem(*checks):
  """Returns the text of the first (holds, text, its numbers) to fail, or ''."""
  problem = tf.constant('')
  for holds, text, *numbers in reversed(checks):
    text = tf.strings.format(text, *numbers) if numbers else text
    problem = tf.where(holds, problem, text)
  return problem


def unless(problem, values):
  """Returns `values`; raises if there is a problem."""
  op = tf.raw_ops.Assert(condition=problem == '', data=[problem])
  # Outside of a graph it has already run, and is None.
  with tf.control_dependencies([] if op is None else [op]):
    return tf.nest.map_structure(tf.identity, values)


def count(encoded, word: bytes, most: int = MOST_COUNTED):
  """How often a word occurs, up to `most`, as int64."""
  return tf.size(split(encoded, word, most), tf.int64) - 1


def split(encoded, word: bytes, most: int = MOST_COUNTED):
  """Returns the parts between the first `most` words and after them."""
  return tf.raw_ops.StringSplitV2(
    input=[encoded], sep=word, maxsplit=most
  ).values

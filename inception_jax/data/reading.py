"""The dataset of tf.data that reads, decodes and batches records."""

from inception_jax.data import threads
from inception_jax.data.splits import Split

# Records read together, and such calls at once.
_TOGETHER, _CALLS = 32, 8


def dataset(
  elements, split: Split, substitute, decode_record, size: int, workers: int
):
  """Reads, decodes and batches elements.

  Args:
    elements: a dataset of (position, element).
    split: fetches the record of an element.
    substitute: see `BadImages.substitution`.
    decode_record: see `pipeline`.
    size: images per batch.
    workers: `config.data.workers`.
  """
  parallel, waiting = threads.num_parallel_calls(workers), 0
  if together := split.together:
    waiting = _CALLS

    def replaced(position, element):
      return position, *substitute(position, element)

    def contents(position, element, is_substitute):
      return position, element, is_substitute, together.read(element)

    def decode(position, element, is_substitute, content):
      record = together.record(element, content)
      return decode_record(position, record, is_substitute)

    read = elements.map(replaced).batch(_TOGETHER).map(contents, _CALLS)
    images = read.unbatch().map(decode, parallel)
  else:

    def decode(position, element):
      element, is_substitute = substitute(position, element)
      return decode_record(position, split.fetch(element), is_substitute)

    images = elements.map(decode, parallel)
  batches = images.batch(size, drop_remainder=True).prefetch(
    threads.BATCHES_AHEAD
  )
  return batches.with_options(threads.options(workers, waiting))

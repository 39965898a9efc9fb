"""What a page shows of an evaluation."""

from inception_jax.evaluation import predictions
from inception_jax.report import confusion
from inception_jax.report import language
from inception_jax.report import mistakes
from inception_jax.report import page

# Pictures narrower than this are enlarged without smoothing.
_PIXELATED_BELOW = 100


def add(
  run: page.Run,
  evaluated,
  config,
  most_mistakes: int,
  translate: language.Translate,
) -> None:
  """Adds scores, confusions, classes and mistakes to a run.

  Args:
    run: gets them.
    evaluated: what `evaluate.evaluate` returned.
    config: the whole config.
    most_mistakes: to show.
    translate: to the language of the figures.
  """
  columns, names = evaluated.columns, evaluated.names
  run.set_scores(evaluated.result)
  counts, used = mistakes.confusion(columns, names)
  run.confusion = confusion.matrices(counts, used, translate)
  run.confused_pairs = mistakes.confused_pairs(counts, used)
  classes = predictions.by_class(columns, names)
  taken_for = mistakes.taken_for(counts, used)
  run.classes = [
    {**line, 'taken_for': taken}
    for line, taken in zip(classes, taken_for, strict=True)
  ]
  run.mistakes = mistakes.worst(
    columns, evaluated.split, config, names, most_mistakes
  )
  run.pixelated = config.data.image_size < _PIXELATED_BELOW

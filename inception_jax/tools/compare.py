"""Compares runs in a table, with confidence intervals.

python -m inception_jax.tools.compare RUN…

A RUN, which --workdir= can name as well, is a workdir, read from its report/ or
else from the last evaluation in its metrics.jsonl, or a folder that
`main.py --mode=eval --output=` wrote. Top-1 and top-5 have 95 % Wilson
intervals. If a run has predictions, the table adds its calibration error and,
if the first run has predictions of the same images, the top-1 difference to it
with a 95 % interval and the p-value of McNemar's test. Runs whose configs
differ only in the seed are summarized by the mean and standard deviation of
top-1.
"""

from typing import Any

from inception_jax.report import comparing
from inception_jax.runtime import cli

_WORKDIR = cli.define_paths('workdir', 'A run, as the words; may be repeated.')


def main(words: list[str]) -> dict[str, Any]:
  """Prints the table and returns its values."""
  return comparing.compare(cli.paths_of(_WORKDIR, words))


if __name__ == '__main__':
  cli.run(main, takes_paths=True)

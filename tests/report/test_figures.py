"""Training curves."""

import re

from inception_jax.report import figures


def test_wide_range_of_losses_has_a_logarithmic_axis():
  losses = [250.0, 30.0, 4.0, 0.5]
  lines = [
    {'step': i, 'split': split, 'loss': loss, 'top1': 0.5}
    for i, loss in enumerate(losses)
    for split in ('train', 'eval')
  ]
  loss, accuracy = figures.curves([('run', lines)])
  assert (loss.name, accuracy.name) == ('loss', 'accuracy')
  labels = re.findall(r'>([^<>]+)</text>', loss.svg)
  assert {'1', '10', '100'} <= set(labels)
  assert not any('$' in label for label in labels)

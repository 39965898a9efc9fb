"""Training curves."""

import re

import pytest

from inception_jax.report import curves


def lines_of(split, losses, **values):
  return [
    {'step': 10 * (i + 1), 'split': split, 'loss': loss, 'top1': 0.5, **values}
    for i, loss in enumerate(losses)
  ]


def texts(figure):
  """Returns the texts of a figure, some of several lines."""
  return re.findall(r'>([^<>]+)</text>', figure.svg)


def test_wide_range_of_losses_has_a_logarithmic_axis():
  losses = [250.0, 30.0, 4.0, 0.5]
  lines = lines_of('train', losses) + lines_of('eval', losses)
  loss, accuracy = curves.curves([('run', lines)])
  assert (loss.name, accuracy.name) == ('loss', 'accuracy')
  assert {'1', '10', '100'} <= set(texts(loss))
  assert not any('$' in text for text in texts(loss))


@pytest.mark.slow
def test_axis_of_losses_can_be_chosen():
  for losses, automatic in (([9.0, 0.05], True), ([9.0, 1.0], False)):
    lines = lines_of('train', losses)
    for axis, is_logarithmic in (
      ('auto', automatic),
      ('linear', False),
      ('log', True),
    ):
      loss = curves.curves([('run', lines)], loss_axis=axis)[0]
      assert ({'2', '4'} <= set(texts(loss))) == (not is_logarithmic)
  # Zeros have no logarithm.
  curves.curves([('run', lines_of('train', [0.0, 0.0]))], loss_axis='log')


def test_first_evaluation_does_not_flatten_the_curve_and_is_named():
  lines = lines_of('train', [3.4, 2.9, 2.5, 2.2])
  lines += lines_of('eval', [70720.4, 1283.0, 3.0, 2.6])
  loss = curves.curves([('run', lines)])[0]
  shown = texts(loss)
  # Half of the evaluations are shown, so that the third sets no bound.
  assert '▲ 2 above the axis, at most 70,720 at step 10' in shown
  ticks = [float(x) for x in shown if re.fullmatch(r'[\d.]+', x)]
  assert 3.0 < max(y for y in ticks if y != int(y) or y < 10) < 6


def test_without_a_loss_above_the_axis_nothing_is_said_of_it():
  lines = lines_of('train', [3.4, 0.2]) + lines_of('eval', [4.0, 0.5])
  assert '▲' not in curves.curves([('run', lines)])[0].svg


def test_figures_have_titles_units_and_whole_steps():
  lines = lines_of(
    'train', [3.0, 2.0], learning_rate=0.1, images_per_sec=1000.0
  )
  drawn = {
    figure.name: texts(figure) for figure in curves.curves([('', lines)])
  }
  expected = {
    'loss': ('Loss', 'cross-entropy (nats)'),
    'accuracy': ('Top-1 accuracy', 'images (%)'),
    'learning_rate': ('Learning rate', 'rate'),
    'throughput': ('Throughput', 'images per second'),
  }
  assert drawn.keys() == expected.keys()
  for name, words in expected.items():
    assert {*words, 'training step'} <= set(drawn[name])
  assert '0' in drawn['throughput']


def test_steps_are_whole_numbers():
  lines = [
    {'step': step, 'split': 'train', 'loss': 2.0 - step} for step in (1, 2)
  ]
  svg = curves.curves([('', lines)])[0].svg
  axis = svg.partition('matplotlib.axis_1')[2].partition('matplotlib.axis_2')[0]
  *ticks, label = re.findall(r'>([^<>]+)</text>', axis)
  assert (ticks, label) == (['1', '2'], 'training step')


@pytest.mark.slow
def test_raw_and_averaged_weights_are_drawn_together():
  lines = lines_of('train', [3.0, 2.0]) + lines_of('eval', [3.0, 2.0])
  averaged = ('evaluation, averaged weights', 'evaluation, raw weights')
  alone = texts(curves.curves([('run', lines)])[0])
  assert 'evaluation' in alone and not {*averaged} & {*alone}
  lines += lines_of('eval_raw', [2.9, 1.9])
  for figure in curves.curves([('run', lines)])[:2]:
    assert {'training', *averaged} <= set(texts(figure))
  both = texts(curves.curves([('a', lines), ('b', lines[:4])])[0])
  assert {'a, evaluation, raw weights', 'b, evaluation'} <= set(both)


def test_training_seconds_are_those_of_the_logged_steps():
  lines = [
    {'step': 10, 'split': 'train', 'images_per_sec': 100.0},
    {'step': 10, 'split': 'eval', 'loss': 1.0},
    {'step': 30, 'split': 'train', 'images_per_sec': 50.0},
    {'step': 40, 'split': 'train', 'images_per_sec': None},
  ]
  # 10 · 20 / 100 + 20 · 20 / 50
  assert curves.training_seconds(lines, 20) == pytest.approx(10.0)
  assert curves.training_seconds([], 20) == 0

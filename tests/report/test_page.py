"""The HTML page."""

import numpy as np
import pytest

from inception_jax.errors import UserError
from inception_jax.report import cost
from inception_jax.report import first_batch
from inception_jax.report import language
from inception_jax.report import page


def run_of(name, recipe='', **config):
  return page.Run(
    name, recipe, 'inception_v3', 'digits', 'test', list(config.items())
  )


def test_page_of_a_run_without_scores_or_versions():
  text = page.render('2026-01-01', 'a machine', [run_of('r', seed=0)], [])
  assert 'trained on unknown devices.' in text
  assert 'This run has not been evaluated yet.' in text
  assert '<title>inception_v3 on digits</title>' in text
  assert 'What differs' not in text
  assert 'setInterval' not in text


def test_title_is_recipe_and_network():
  runs = [run_of('r', '<i>mine'), run_of('s', '<i>mine')]
  text = page.render('', '', runs, [])
  assert '<h1>&lt;i&gt;mine: inception_v3</h1>' in text
  run = run_of('r', 'inception_v3')
  assert run.title(language.ENGLISH) == 'inception_v3'


def test_runs_are_named_by_as_much_of_their_paths_as_differs():
  assert page.named(['runs/a/', 'b']) == [('a', 'runs/a/'), ('b', 'b')]
  names = [name for name, _ in page.named(['/x/a/run', '/x/b/run'])]
  assert names == ['a-run', 'b-run']
  with pytest.raises(UserError, match='names the same run twice'):
    page.named(['/x/a', '/x/b/../a'])


def test_costs_are_those_of_all_devices_over_all_starts():
  run = run_of('r')
  run.set_scores({'step': 1, 'top1': 1, 'top5': 1, 'loss': 1, 'count': 9})
  assert 'device-hours' not in page.render('', '', [run], [])
  run.versions = {'devices': '8 × TPU v4'}
  run.saved_step, run.seconds = 1500, {'steps': 1350.0, 'saving': 450.0}
  text = page.render('', '', [run], [])
  tile = '<b>{}</b><span>{}</span>'
  hours = 'device-hours until step 1,500, over all starts'
  assert tile.format('4.00', hours) in text
  assert 'goodput 75.0 % of 30:00: steps 75.0 %, saving 25.0 %.' in text
  assert 'USD' not in text
  price = cost.Price(1.2, 'USD')
  text = page.render('', '', [run], [], price=price)
  assert tile.format('4.80', 'USD, at 1.2 for a device-hour') in text
  both = page.render('', '', [run, run_of('s')], [], price=price)
  assert both.count('<td class="n">4.80</td>') == 1
  assert both.count('<td class="n">—</td>') == 2  # of the other run


def test_first_batch_shows_the_weights_of_mixed_labels():
  run = run_of('r')
  run.first_batch = first_batch.described(
    np.zeros((2, 4, 4, 1), np.uint8),
    np.array([[0, 1, 0], [0.25, 0, 0.75]], np.float32),
    ('a', 'b', '<c>'),
  )
  assert [x['labels'] for x in run.first_batch] == [
    [('b', 1.0)],
    [('<c>', 0.75), ('a', 0.25)],
  ]
  text = page.render('', '', [run], [])
  assert text.count('src="data:image/png;base64,') == 2
  assert '&lt;c&gt;</span><em>75.0 %</em>' in text
  assert '100.0 %' not in text


def test_differences_are_the_keys_whose_values_are_not_equal():
  runs = [
    run_of('a', seed=0, rate=1, old=True),
    run_of('b', seed=1, rate=1.0),
    run_of('c', seed=0, rate=1, new='x'),
  ]
  assert page.differences(runs) == [
    ('seed', [0, 1, 0]),
    ('rate', [1, 1.0, 1]),
    ('old', [True, '—', '—']),
    ('new', ['—', '—', 'x']),
  ]
  assert page.differences(runs[:1]) == []
  text = page.render('', '', runs[:1] * 2, [])
  assert 'Nothing: the configs are equal.' in text

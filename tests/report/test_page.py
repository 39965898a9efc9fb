"""The HTML page."""

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
  assert run_of('r', 'inception_v3').title == 'inception_v3'


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

"""The HTML page."""

from inception_jax.report import page


def test_page_of_a_run_without_scores_or_versions():
  run = page.Run('r', 'inception_v3', 'digits', 'test', [('seed', 0)], {})
  text = page.render('r', '2026-01-01', 'a machine', [run], [])
  assert 'trained on unknown devices.' in text
  assert 'This run has not been evaluated yet.' in text

"""The notebooks of docs/ run from the first cell to the last, in small."""

import csv
import re

import matplotlib
import pytest

from inception_jax.models import architectures
from tests.support import notebooks
from tests.support import small_networks
from tests.support.commands import ROOT

NOTEBOOKS = sorted((ROOT / 'docs/notebooks').glob('*.ipynb'))
FINE_TUNE = ROOT / 'docs/notebooks/fine_tune.ipynb'


def code_cells(path):
  cells = notebooks.read(path)['cells']
  return [cell for cell in cells if cell['cell_type'] == 'code']


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_cleared_and_texts_are_in_both_languages(path):
  content = notebooks.read(path)
  assert content['nbformat'] == 4
  texts = [c for c in content['cells'] if c['cell_type'] == 'markdown']
  for cell in texts:
    assert re.search('[\u4e00-\u9fff].*。', notebooks.source(cell))
    assert re.search(r'[a-z]{2}\.$', notebooks.source(cell), re.M)
  for cell in code_cells(path):
    assert (cell['outputs'], cell['execution_count']) == ([], None)


@pytest.mark.slow
def test_fine_tune(sandbox, monkeypatch):
  monkeypatch.chdir(sandbox)
  matplotlib.use('agg')
  for name, network in small_networks.networks().items():
    monkeypatch.setitem(architectures.ARCHITECTURES, name, network)
  names = notebooks.run(code_cells(FINE_TUNE), sandbox)
  # The sandbox has two classes of two images for evaluation.
  losses = [float(row['loss']) for row in names['worst']]
  assert len(losses) == 4 and losses == sorted(losses, reverse=True)
  assert {row['label'] for row in names['worst']} == {'cat', 'dog'}
  wrong = [row['class_1'] != row['label'] for row in names['predictions']]
  assert sum(wrong) == len(names['mistakes'])
  drawn = [axis for axis in names['axes'].flat if axis.images]
  assert len(drawn) == 4
  with open(sandbox / 'runs/notebook/scores/predictions.csv') as file:
    assert len(list(csv.DictReader(file))) == 4
  assert (sandbox / 'runs/notebook/report/index.html').exists()
  assert names['pooled'].shape == (4, 16)
  names['plt'].close('all')

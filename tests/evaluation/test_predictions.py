"""Files with the predictions of each image and the accuracy of each class."""

import json

import numpy as np
import pytest
from sklearn import metrics

from inception_jax.data import pipeline
from inception_jax.data.sources import registry
from inception_jax.evaluation import predictions
from inception_jax.evaluation.evaluator import Evaluator
from tests.support import runs
from tests.support import tfds_sets
from tests.support.pictures import CLASSES
from tests.support.pictures import config_of
from tests.support.pictures import network


def test_top5_of_each_image_and_accuracy_of_each_class(
  run, evaluate_run, tmp_path
):
  result, rows = evaluate_run(run, tmp_path)
  assert len(rows) == result['count'] == 23
  for row in rows:
    assert row['image'].split('/')[-2] == row['label']
    top5 = [row[f'class_{n}'] for n in range(1, 6)]
    probabilities = [float(row[f'probability_{n}']) for n in range(1, 6)]
    assert len(set(top5)) == 5
    assert probabilities == sorted(probabilities, reverse=True)
    assert row['top1'] == str(int(top5[0] == row['label']))
    assert row['top5'] == str(int(row['label'] in top5))
    if row['label'] in top5:
      probability = probabilities[top5.index(row['label'])]
      assert np.exp(-float(row['loss'])) == pytest.approx(probability, abs=2e-6)
  summary = json.loads((tmp_path / 'evaluation.json').read_text())
  assert summary['result'] == result
  assert [c['name'] for c in summary['classes']] == list(CLASSES)
  assert sum(c['count'] for c in summary['classes']) == 23
  for key in ('top1', 'top5'):
    mean = sum(c['count'] * c[key] for c in summary['classes']) / 23
    assert mean == pytest.approx(result[key])
    assert result[key] == np.mean([int(row[key]) for row in rows])
  predicted = [row['class_1'] for row in rows]
  assert result['balanced_accuracy'] == pytest.approx(
    metrics.balanced_accuracy_score([row['label'] for row in rows], predicted)
  )
  assert result['balanced_accuracy'] != result['top1']


@pytest.mark.slow
@pytest.mark.parametrize('file_format', ['tfrecord', 'array_record'])
def test_records_of_tfds_have_names_and_can_be_read_by_position(
  tmp_path, one_device, file_format
):
  tfds_sets.write(tmp_path, file_format)
  config = config_of(tmp_path)
  config.data.source, config.data.eval_split = 'tfds:shapes', 'test'
  split = registry.load(config, 'test')
  model, variables = network(config, 0, 3)
  evaluator = Evaluator([(config, model)], split, one_device)
  columns = predictions.concatenate(evaluator(variables).batches, split.size)
  predictions.write(str(tmp_path / 'out'), {}, columns, split, 'abc')
  rows = runs.predictions(tmp_path / 'out')
  assert len({row['image'] for row in rows}) == 7
  images = pipeline.eval_images(split, config.data, [5, 2])
  # Image i has grey level 9·i + 20 and class i % 3.
  for position, image in images.items():
    (grey,) = np.unique(image)
    assert 'abc'[(int(grey) - 20) // 9 % 3] == rows[position]['label']
  greys = {int(image[0, 0, 0]) for image in images.values()}
  assert len(greys) == 2

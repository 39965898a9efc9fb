"""Labels and subsets of classes from files."""

import json
import os

import numpy as np
import pytest

from inception_jax.data.splits import Indexed
from inception_jax.errors import UserError
from inception_jax.evaluation import labels as labels_lib
from tests.support.pictures import CLASSES


@pytest.mark.slow
def test_labels_file_by_position_and_by_image_name(run, evaluate_run, tmp_path):
  _, before = evaluate_run(run, tmp_path / 'before')
  best = {row['image']: row['class_1'] for row in before}
  second = {row['image']: row['class_2'] for row in before}
  # For each image the second most probable class or, with a number for one of
  # them, the two most probable classes.
  labels = [
    [CLASSES.index(second[name]), best[name]] if i % 2 else second[name]
    for i, name in enumerate(best)
  ]
  labels[4] = []
  (tmp_path / 'list.json').write_text(json.dumps(labels))
  by_name = dict(zip(best, labels, strict=True))
  (tmp_path / 'object.json').write_text(json.dumps(by_name))
  for kind in ('list', 'object'):
    result, rows = evaluate_run(
      run, tmp_path / kind, labels=str(tmp_path / f'{kind}.json')
    )
    assert result['count'] == len(rows) == 22
    assert result['top5'] == 1.0
    assert result['top1'] == 11 / 22
    image = rows[1]['image']
    assert rows[1]['label'] == f'{second[image]}|{best[image]}'
    # The loss is that of the summed probabilities of all correct classes.
    probabilities = [float(before[1][f'probability_{n}']) for n in (1, 2)]
    assert np.exp(-float(rows[1]['loss'])) == pytest.approx(
      sum(probabilities), abs=3e-6
    )


def test_list_of_imagenets_validation_set_follows_its_numbers(tmp_path):
  names = [f'x/ILSVRC2012_val_0000000{n}.JPEG' for n in (3, 1, 2)]
  split = Indexed(3, ('a', 'b'), None, names.__getitem__)
  path = tmp_path / 'real.json'
  path.write_text('[[0], [1, 0], []]')
  image_labels = labels_lib.make_labels(split, 2, labels_file=str(path))
  labels, known = image_labels(np.arange(4), np.zeros(4, np.int32))
  assert labels[:3].tolist() == [[-1, -1], [0, -1], [1, 0]]
  assert known[:3].tolist() == [False, True, True]


@pytest.mark.slow
def test_only_classes_of_the_classes_file_are_predicted(
  run, evaluate_run, tmp_path
):
  _, before = evaluate_run(run, tmp_path / 'before')
  subset = tmp_path / 'classes.txt'
  subset.write_text('dog\n\n4\n')
  result, rows = evaluate_run(run, tmp_path / 'subset', classes=str(subset))
  assert result['count'] == len(rows) == 8
  assert result['top5'] == 1.0
  before = {row['image']: row for row in before}
  for row in rows:
    assert row['label'] in ('dog', 'toad')
    assert {row['class_1'], row['class_2']} == {'dog', 'toad'}
    of_all = before[row['image']]
    probabilities = {
      of_all[f'class_{n}']: float(of_all[f'probability_{n}'])
      for n in range(1, 6)
    }
    if {'dog', 'toad'} <= probabilities.keys():
      total = probabilities['dog'] + probabilities['toad']
      assert np.exp(-float(row['loss'])) == pytest.approx(
        probabilities[row['label']] / total, abs=1e-4
      )


@pytest.mark.parametrize(
  ('content', 'fault'),
  [
    ('{', 'is not JSON'),
    ('[[0]]', 'has labels of 1 images, the split has 23'),
    ('7', 'expected a list or an object'),
    ('{"nothing.png": 0}', 'names no image of the split'),
    ('[' + '6,' * 22 + '-1]', 'not among the 6 classes'),
    ('[' + '"ape",' * 22 + 'null]', 'not among the 6 classes'),
    ('[' + '1.5,' * 22 + 'true]', 'not among the 6 classes'),
    (b'\xff\xfe', 'not UTF-8'),
    ('[' * 100_000, 'is not JSON: nested too deeply'),
    ('9' * 5000, 'is not JSON'),
    ('[' + '1,' * 22 + '"' + '9' * 5000 + '"]', '  9{40} … 9{40}$'),
    ('[' + '1,' * 22 + '{"a":' * 20 + '[]' + '}' * 20 + ']', 'not among the 6'),
    ('[' + '1,' * 22 + '"\\n\\u001b[2J"]', r'  \\n\\x1b\[2J$'),
    (None, 'cannot be read: No such file'),
  ],
)
def test_faulty_labels_file_is_reported(
  run, evaluate_run, tmp_path, content, fault
):
  path = tmp_path / 'labels.json'
  if isinstance(content, bytes):
    path.write_bytes(content)
  elif content:
    path.write_text(content)
  with pytest.raises(UserError, match=fault):
    evaluate_run(run, tmp_path / 'out', labels=str(path))
  assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
  ('content', 'fault'),
  [
    ('\n', 'names no class'),
    ('dog\nape\n', '  ape'),
    ('7' * 5000, '  7{40} … 7{40}$'),
    ('a' * 10**7, '  a{40} … a{40}$'),
  ],
)
def test_faulty_classes_file_is_reported(
  run, evaluate_run, tmp_path, content, fault
):
  path = tmp_path / 'classes.txt'
  path.write_text(content)
  with pytest.raises(UserError, match=fault):
    evaluate_run(run, tmp_path / 'out', classes=str(path))


def test_a_pipe_is_no_list_of_classes(tmp_path):
  os.mkfifo(tmp_path / 'pipe')
  with pytest.raises(UserError, match='cannot be read: not a regular file'):
    labels_lib.class_names(str(tmp_path / 'pipe'), 3)

"""Protocols, ensembles, other labels, subsets: the same at any batch size."""

import csv
import json
import shutil

import jax
import numpy as np
import pytest
import tensorflow as tf

from inception_jax.data import crops
from inception_jax.data import decode
from inception_jax.data import pipeline
from inception_jax.data.sources import registry
from inception_jax.data.splits import Indexed
from inception_jax.errors import UserError
from inception_jax.evaluation import evaluate
from inception_jax.evaluation import labels as labels_lib
from inception_jax.evaluation import predictions
from inception_jax.evaluation.evaluator import Evaluator
from inception_jax.training import loop
from tests.support import tfds_sets
from tests.support.pictures import CLASSES
from tests.support.pictures import config_of
from tests.support.pictures import network
from tests.support.pictures import save_run


@pytest.mark.parametrize(
  ('protocol', 'count', 'some'),
  [
    ('single', 1, [('image', 0, 0, 0, False)]),
    ('mirror', 2, [('image', 0, 0, 0, False), ('image', 0, 0, 0, True)]),
    (
      '12_crops',
      12,
      [
        ('scale_8', 0, 0, 0, False),
        ('scale_8', 0, 0, 42, True),
        ('scale_8', 0, 42, 0, False),
        ('scale_8', 0, 42, 42, True),
        ('scale_8', 0, 21, 21, False),
        ('image', 0, 0, 0, True),
      ],
    ),
    (
      '144_crops',
      144,
      [
        ('scale_8', 2, 42, 42, False),
        ('scale_9', 0, 85, 0, True),
        ('scale_10', 1, 64, 64, False),
        ('scale_11', 2, 0, 170, False),
        ('image', 0, 0, 0, False),
        ('image', 11, 0, 0, True),
      ],
    ),
  ],
)
def test_views_are_where_a_ruler_puts_them(protocol, count, some):
  # Of 299: 341, 384, 427 and 469 are the sides; 42, 85, 128 and 170 are over.
  found = crops.views(protocol, 299)
  assert len(found) == len(set(found)) == count
  assert {crops.View(*view) for view in some} <= set(found)
  assert all(view.mirrored for view in found[(count + 1) // 2 :])


def test_googlenets_scales():
  assert list(crops.sides('144_crops', 224).values()) == [256, 288, 320, 352]
  assert list(crops.sides('12_crops', 299).values()) == [341]


@pytest.mark.parametrize('upright', [False, True])
def test_squares_lie_at_the_ends_and_in_the_middle(pictures, upright):
  config = config_of(pictures, eval_protocol='144_crops', image_size=14)
  # Its shorter side is the first scale's, so that it is not resized there.
  image = np.arange(16 * 41 * 3, dtype=np.uint32).reshape(16, 41, 3) % 251
  image = image.astype(np.uint8)
  turn = (lambda x: x.swapaxes(0, 1)) if upright else lambda x: x
  found = decode.eval_canvases(tf.constant(turn(image)), config.data)
  assert {key: x.shape for key, x in found.items()} == {
    'scale_8': (3, 16, 16, 3),
    'scale_9': (3, 18, 18, 3),
    'scale_10': (3, 20, 20, 3),
    'scale_11': (3, 22, 22, 3),
    'image': (12, 14, 14, 3),
  }
  for square, begin in zip(found['scale_8'].numpy(), (0, 12, 25), strict=True):
    np.testing.assert_array_equal(square, turn(image[:, begin : begin + 16]))
  whole = decode.eval_canvases(tf.constant(found['scale_9'][1]), config.data)
  np.testing.assert_array_equal(whole['image'][1 + 3], found['image'][1 + 3])


def by_hand(config, model, variables, split):
  """Mean probabilities [images, N] and labels, image by image."""
  size = config.data.image_size
  scores, labels = [], []
  forward = jax.jit(lambda x: jax.nn.softmax(model.apply(variables, x)[0]))
  for i in range(split.size):
    record = split.fetch(tf.constant(i, tf.int64))
    labels.append(int(record['label']))
    canvases = decode.eval_canvases(record['image'], config.data)
    views = []
    for view in crops.views(config.data.eval_protocol, size):
      canvas = canvases[view.canvas].numpy()
      square = canvas if canvas.ndim == 3 else canvas[view.square]
      image = square[view.top :, view.left :][:size, :size]
      views.append(image[:, ::-1] if view.mirrored else image)
    images = (np.stack(views) - np.float32(127.5)) / np.float32(127.5)
    scores.append(np.mean(np.asarray(forward(images)), axis=0))
  return np.stack(scores), np.array(labels)


@pytest.mark.parametrize('protocol', crops.PROTOCOLS)
def test_protocols_average_what_the_network_says_of_each_view(
  pictures, one_device, protocol
):
  config = config_of(pictures, eval_protocol=protocol)
  split = registry.load(config, 'val')
  model, variables = network(config, 0)
  means, labels = by_hand(config, model, variables, split)
  evaluator = Evaluator([(config, model)], split, one_device)
  result, batches = evaluator(variables)
  loss = -np.log(means[np.arange(23), labels])
  found = np.concatenate([batch['image_loss'] for batch in batches])[:23]
  np.testing.assert_allclose(found, loss, rtol=2e-5)
  assert result['count'] == 23
  assert result['loss'] == pytest.approx(loss.mean(), rel=1e-5)
  assert result['top1'] == np.mean(means.argmax(1) == labels)
  assert len(set(means.argmax(1))) > 1


@pytest.mark.parametrize('protocol', ['single', '12_crops'])
def test_batches_and_devices_change_nothing(
  pictures, one_device, eight_devices, protocol
):
  results = []
  for batch_size, mesh in (
    (1, one_device),
    (7, one_device),
    (64, one_device),
    (8, eight_devices),
    (100, eight_devices),
  ):
    config = config_of(pictures, eval_protocol=protocol)
    config.batch_size = batch_size
    split = registry.load(config, 'val')
    model, variables = network(config, 1)
    evaluator = Evaluator([(config, model)], split, mesh)
    results.append(evaluator(variables).scores)
  first = results[0]
  assert first['count'] == 23
  for result in results:
    assert result == {**first, 'loss': pytest.approx(first['loss'], abs=1e-5)}


def test_networks_are_averaged_each_with_its_own_preprocessing(
  pictures, one_device, tmp_path
):
  first, second = config_of(pictures), config_of(pictures)
  second.model.width = 2.0
  second.data.update(
    {
      'image_size': 20,
      'mean': (100.0, 110.0, 120.0),
      'std': (50.0, 60.0, 70.0),
    }
  )
  paths = [
    save_run(tmp_path / 'a', first, 0, step=3),
    save_run(tmp_path / 'b', second, 1),
  ]
  alone = []
  for config, path in ((first, paths[0]), (second, paths[1])):
    output = tmp_path / f'alone{len(alone)}'
    options = evaluate.Options((path,), output=str(output))
    # What a recipe leaves open follows the card of each.
    config.data.update({'image_size': 0, 'mean': (), 'std': ()})
    evaluate.evaluate(config, '', one_device, options)
    alone.append(lines(output))
  options = evaluate.Options(tuple(paths), output=str(tmp_path / 'both'))
  result = evaluate.evaluate(first, '', one_device, options).result
  assert result['step'] == [3, 0]
  for a, b, both in zip(*alone, lines(tmp_path / 'both'), strict=True):
    mean = (np.exp(-float(a['loss'])) + np.exp(-float(b['loss']))) / 2
    assert float(both['loss']) == pytest.approx(-np.log(mean), abs=1e-5)
  assert alone[0] != alone[1]


def lines(output):
  with open(output / 'predictions.csv', newline='') as file:
    return list(csv.DictReader(file))


def evaluated(pictures, run, mesh, output, **options):
  options = evaluate.Options((run,), output=str(output), **options)
  config = config_of(pictures)
  return evaluate.evaluate(config, '', mesh, options).result, lines(output)


@pytest.fixture(scope='module')
def run(pictures, tmp_path_factory):
  where = tmp_path_factory.mktemp('runs') / 'a'
  return save_run(where, config_of(pictures), 0)


def test_every_image_is_named_with_its_five_guesses(
  pictures, run, one_device, tmp_path
):
  result, found = evaluated(pictures, run, one_device, tmp_path)
  assert len(found) == result['count'] == 23
  for line in found:
    assert line['image'].split('/')[-2] == line['label']
    guesses = [line[f'class_{n}'] for n in range(1, 6)]
    odds = [float(line[f'probability_{n}']) for n in range(1, 6)]
    assert len(set(guesses)) == 5
    assert odds == sorted(odds, reverse=True)
    assert line['top1'] == str(int(guesses[0] == line['label']))
    assert line['top5'] == str(int(line['label'] in guesses))
    if line['label'] in guesses:
      own = odds[guesses.index(line['label'])]
      assert np.exp(-float(line['loss'])) == pytest.approx(own, abs=2e-6)
  summary = json.loads((tmp_path / 'evaluation.json').read_text())
  assert summary['result'] == result
  assert [c['name'] for c in summary['classes']] == list(CLASSES)
  assert sum(c['count'] for c in summary['classes']) == 23
  for key in ('top1', 'top5'):
    mean = sum(c['count'] * c[key] for c in summary['classes']) / 23
    assert mean == pytest.approx(result[key])
    assert result[key] == np.mean([int(line[key]) for line in found])


def test_other_labels_by_name_and_by_position(
  pictures, run, one_device, tmp_path
):
  _, before = evaluated(pictures, run, one_device, tmp_path / 'a')
  best = {line['image']: line['class_1'] for line in before}
  second = {line['image']: line['class_2'] for line in before}
  # Of each image the two that the network likes best, one of them by number.
  labels = [
    [CLASSES.index(second[name]), best[name]] if i % 2 else second[name]
    for i, name in enumerate(best)
  ]
  labels[4] = []
  (tmp_path / 'list.json').write_text(json.dumps(labels))
  by_name = dict(zip(best, labels, strict=True))
  (tmp_path / 'object.json').write_text(json.dumps(by_name))
  for kind in ('list', 'object'):
    result, found = evaluated(
      pictures,
      run,
      one_device,
      tmp_path / kind,
      labels=str(tmp_path / f'{kind}.json'),
    )
    assert result['count'] == len(found) == 22
    assert result['top5'] == 1.0
    assert result['top1'] == 11 / 22
    assert (
      found[1]['label']
      == f'{second[found[1]["image"]]}|' + (best[found[1]['image']])
    )
    # The probability of what is right, be it one class or two.
    odds = [float(before[1][f'probability_{n}']) for n in (1, 2)]
    assert np.exp(-float(found[1]['loss'])) == pytest.approx(
      sum(odds), abs=3e-6
    )


def test_imagenets_validation_set_goes_by_its_numbers(tmp_path):
  names = [f'x/ILSVRC2012_val_0000000{n}.JPEG' for n in (3, 1, 2)]
  split = Indexed(3, ('a', 'b'), None, names.__getitem__)
  path = tmp_path / 'real.json'
  path.write_text('[[0], [1, 0], []]')
  answers = labels_lib.make_labels(split, 2, labels_file=str(path))
  labels, known = answers(np.arange(4), np.zeros(4, np.int32))
  assert labels[:3].tolist() == [[-1, -1], [0, -1], [1, 0]]
  assert known[:3].tolist() == [False, True, True]


def test_a_subset_of_classes_is_in_the_running_alone(
  pictures, run, one_device, tmp_path
):
  _, before = evaluated(pictures, run, one_device, tmp_path / 'a')
  subset = tmp_path / 'classes.txt'
  subset.write_text('dog\n\n4\n')
  result, found = evaluated(
    pictures, run, one_device, tmp_path / 'b', classes=str(subset)
  )
  assert result['count'] == len(found) == 8
  assert result['top5'] == 1.0
  own = {line['image']: line for line in before}
  for line in found:
    assert line['label'] in ('dog', 'toad')
    assert {line['class_1'], line['class_2']} == {'dog', 'toad'}
    guesses = [own[line['image']][f'class_{n}'] for n in range(1, 6)]
    odds = {
      guess: float(own[line['image']][f'probability_{n}'])
      for n, guess in enumerate(guesses, 1)
    }
    if {'dog', 'toad'} <= odds.keys():
      share = odds[line['label']] / (odds['dog'] + odds['toad'])
      assert np.exp(-float(line['loss'])) == pytest.approx(share, abs=1e-4)


def test_classes_go_by_their_names(pictures, one_device, tmp_path, caplog):
  config = config_of(pictures)
  config.model.num_classes = 6
  straight = save_run(tmp_path / 'a', config, 0)
  turned = save_run(tmp_path / 'b', config, 0, CLASSES[::-1])
  unnamed = save_run(tmp_path / 'c', config, 0, ())
  others = save_run(tmp_path / 'd', config, 0, tuple('uvwxyz'))
  losses = []
  for i, path in enumerate((straight, unnamed, others, turned)):
    result, found = evaluated(pictures, path, one_device, tmp_path / f'{i}')
    losses.append(result['loss'])
  assert losses[0] == losses[1] == losses[2] != losses[3]
  assert all(line['image'].split('/')[-2] == line['label'] for line in found)
  some = save_run(tmp_path / 'e', config, 0, (*CLASSES[:5], 'lynx'))
  with pytest.raises(UserError, match='1 of 6 classes were not trained'):
    evaluated(pictures, some, one_device, tmp_path / 'no')
  assert not (tmp_path / 'no').exists()


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
    (None, 'cannot be read: No such file'),
  ],
)
def test_labels_that_do_not_fit(
  pictures, run, one_device, tmp_path, content, fault
):
  path = tmp_path / 'labels.json'
  if isinstance(content, bytes):
    path.write_bytes(content)
  elif content:
    path.write_text(content)
  with pytest.raises(UserError, match=fault):
    evaluated(pictures, run, one_device, tmp_path / 'out', labels=str(path))
  assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
  ('content', 'fault'), [('\n', 'names no class'), ('dog\nape\n', '  ape')]
)
def test_subsets_that_do_not_fit(
  pictures, run, one_device, tmp_path, content, fault
):
  path = tmp_path / 'classes.txt'
  path.write_text(content)
  with pytest.raises(UserError, match=fault):
    evaluated(pictures, run, one_device, tmp_path / 'out', classes=str(path))


def test_networks_of_other_classes_are_not_averaged(
  pictures, run, one_device, tmp_path
):
  config = config_of(pictures)
  fewer = save_run(tmp_path / 'a', config, 0, CLASSES[:5])
  turned = save_run(tmp_path / 'b', config, 0, CLASSES[::-1])
  options = evaluate.Options((run, fewer, turned))
  with pytest.raises(UserError) as error:
    evaluate.evaluate(config, '', one_device, options)
  assert len(error.value.faults) == 2


def test_a_training_does_not_go_on_with_other_classes(
  pictures, one_device, tmp_path
):
  shutil.copytree(pictures / 'val', tmp_path / 'data' / 'train')
  shutil.copytree(pictures / 'val', tmp_path / 'data' / 'val')
  config = config_of(tmp_path / 'data')
  config.train_for = config.eval_every = '2 steps'
  loop.train(config, str(tmp_path / 'run'), one_device)
  for split in ('train', 'val'):
    # Now what was a toad is a bee, and each class but it is one further on.
    (tmp_path / 'data' / split / 'toad').rename(
      tmp_path / 'data' / split / 'bee'
    )
  # Nothing is left to do, and nothing is said.
  loop.train(config, str(tmp_path / 'run'), one_device)
  config.train_for = '3 steps'
  with pytest.raises(UserError, match='trained on other classes') as error:
    loop.train(config, str(tmp_path / 'run'), one_device)
  assert "  0: 'cat' → 'bee'" in error.value.faults


def test_an_empty_split_is_said(pictures, one_device):
  config = config_of(pictures)
  model, _ = network(config, 0)
  with pytest.raises(UserError, match='folder: val has no images'):
    Evaluator([(config, model)], Indexed(0, CLASSES, None), one_device)


@pytest.mark.parametrize('file_format', ['tfrecord', 'array_record'])
def test_records_in_files_are_named_and_shown(
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
  found = lines(tmp_path / 'out')
  assert len({line['image'] for line in found}) == 7
  pictures = pipeline.eval_images(split, config.data, [5, 2])
  # Grey of i · 9 + 20, in class i % 3, in the order of the files.
  for position, picture in pictures.items():
    (grey,) = np.unique(picture)
    assert 'abc'[(int(grey) - 20) // 9 % 3] == found[position]['label']
  greys = {int(picture[0, 0, 0]) for picture in pictures.values()}
  assert len(greys) == 2

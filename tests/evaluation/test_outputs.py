"""Outputs of networks and classes of datasets, by name and by number."""

import dataclasses

import numpy as np
import pytest

from inception_jax.data.prepare import imagenet
from inception_jax.data.sources import registry
from inception_jax.errors import UserError
from inception_jax.evaluation import evaluate
from inception_jax.evaluation import outputs
from tests.support import pictures
from tests.support.image_folders import config_of
from tests.support.image_folders import write_image

SYNSETS = ('n01443537', 'n01440764', 'n15075141')


def outputs_of(folder, num_outputs, names=()):
  """The output that counts as correct for each image, in order."""
  config = config_of(folder, eval_split='val')
  split = registry.load(config, 'val')
  network = dataclasses.make_dataclass('Network', ['num_classes'])
  weights = dataclasses.make_dataclass(
    'Weights', ['origin', 'network', 'classes']
  )('timm', network(num_outputs), names)
  labels = evaluate.labels_for(config, split, [weights], evaluate.Options())
  given = np.array([int(split.fetch(i)['label']) for i in range(split.size)])
  correct, _ = labels(np.arange(split.size), given)
  return correct[:, 0].tolist(), labels.names


def fill(folder, names):
  for name in names:
    write_image(folder / 'val' / name / 'a.png', 0)


def test_folder_n_is_output_n_of_a_network_without_names(tmp_path):
  fill(tmp_path, map(str, range(12)))
  assert outputs_of(tmp_path, 12)[0] == list(range(12))


def test_some_of_the_folders_are_these_outputs(tmp_path):
  fill(tmp_path, ('2', '10', '007', '999'))
  correct, names = outputs_of(tmp_path, 1000)
  assert correct == [2, 7, 10, 999]
  assert names[7:11] == ('007', '8', '9', '10')
  with pytest.raises(UserError, match=r'numbers .* below 999'):
    outputs_of(tmp_path, 999)
  with pytest.raises(UserError, match='2 of 4 classes were not trained'):
    outputs_of(tmp_path, 4, ('a', '2', 'b', '10'))
  # Counted from 1: each takes its place.
  assert outputs_of(tmp_path, 4)[0] == [0, 1, 2, 3]


def test_a_run_whose_numbers_were_sorted_as_text_is_matched_by_name(tmp_path):
  fill(tmp_path, map(str, range(12)))
  names = tuple(sorted(map(str, range(12))))
  correct, _ = outputs_of(tmp_path, 12, names)
  assert [names[i] for i in correct] == list(map(str, range(12)))


def test_synsets_are_the_outputs_of_imagenet(tmp_path):
  fill(tmp_path, SYNSETS)
  assert outputs_of(tmp_path, 1000)[0] == [0, 1, 999]
  assert len(set(imagenet.synsets())) == 1000
  assert sorted(imagenet.synsets()) == list(imagenet.synsets())
  fill(tmp_path, ['n00000001'])
  with pytest.raises(UserError, match='timm has 1000 classes, folder has 4'):
    outputs_of(tmp_path, 1000)


def test_outputs_of_known_classes_come_first_in_a_new_training():
  order = outputs.order
  assert order(('c', 'a'), ('a', 'b', 'c'), 3) == [2, 0, 1]
  assert order(('3', '1'), (), 5) == [3, 1, 0, 2, 4]
  assert order(SYNSETS, (), 1000)[:4] == [1, 0, 999, 2]
  # In place already, or other classes, or of no name.
  assert order(('a', 'b'), ('a', 'b', 'c'), 3) is None
  assert order(('a', 'x'), ('a', 'b', 'c'), 3) is None
  assert order(('cat', 'dog'), (), 2) is None


def test_fine_tuning_moves_the_outputs_to_their_classes(tiniest):
  from inception_jax.training import train_state

  weights = pictures.random_weights(tiniest, 4, ('0', '1', '10', '2'))
  zeros = pictures.random_weights(tiniest, 4).variables
  state = train_state.from_weights(zeros)
  tuned = train_state.fine_tune(state, weights, ('0', '1', '2', '10'))
  before = weights.variables['params']
  for name, array in tuned.params['head']['dense'].items():
    expected = before['head']['dense'][name][..., [0, 1, 3, 2]]
    np.testing.assert_array_equal(array, expected)
  np.testing.assert_array_equal(
    tuned.params['conv_1a']['conv']['kernel'],
    before['conv_1a']['conv']['kernel'],
  )

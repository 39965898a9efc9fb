import pytest

from configs import default
from inception_jax.models import card as card_lib
from inception_jax.models.card import Card


def test_default_card_survives_a_config():
  data = default.get_config().data
  card_lib.resolve(data, Card())
  assert card_lib.from_config(data) == Card()
  keys = card_lib.to_config(Card())
  del keys.max_pixels
  assert {key: data[key] for key in keys} == keys.to_dict()


def test_grayscale_averages_the_color_statistics():
  data = default.get_config().data
  data.channels = 1
  card_lib.resolve(data, Card(mean=(1.0, 2.0, 6.0), std=(2.0, 2.0, 5.0)))
  assert data.mean == (3.0,) and data.std == (3.0,)
  assert card_lib.from_config(data).image_shape == (299, 299, 1)


def test_color_repeats_the_statistics_of_grayscale():
  data = default.get_config().data
  card_lib.resolve(data, Card(mean=(3.0,), std=(4.0,)))
  assert data.mean == (3.0,) * 3 and data.std == (4.0,) * 3


@pytest.mark.parametrize('mean', [(5.0,), (5.0, 6.0, 7.0)])
def test_config_keys_take_precedence_over_the_card(mean):
  data = default.get_config().data
  data.channels, data.mean, data.image_size = len(mean), mean, 96
  card_lib.resolve(data, Card())
  card = card_lib.from_config(data)
  assert card.mean == mean and card.input_size == 96

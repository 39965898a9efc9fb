"""What runs have cost."""

import pytest

from inception_jax.errors import UserError
from inception_jax.report import cost


def test_prices_have_a_currency():
  parse = cost.parse
  assert parse('1.20 USD') == (1.2, 'USD')
  assert parse('12 元') == (12.0, '元')
  assert parse('') is None
  for text in ('1.20', 'USD', '-1 USD', 'nan USD', '1e5 USD', '1 U S'):
    with pytest.raises(UserError, match='expected a price'):
      parse(text)
  with pytest.raises(UserError, match='expected a price'):
    parse(f'{"9" * 400} USD')


def test_device_hours_are_those_of_all_devices():
  assert cost.device_hours('8 × TPU v4', 1800.0) == 4.0
  assert cost.device_hours('8 × TPU v4', 0.0) == 0
  for unknown in ('', 'TPU v4', '× TPU', '-1 × TPU'):
    assert cost.device_hours(unknown, 1800.0) == 0


def test_amounts_have_the_digits_that_matter():
  assert cost.number(1234.567) == '1,235'
  assert cost.number(12.345678) == '12.35'
  assert cost.number(0.3) == '0.30'
  assert cost.number(0.03781) == '0.038'

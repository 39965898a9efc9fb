"""What a run has cost: hours of devices, and money."""

import math
import re
from typing import NamedTuple

from inception_jax.errors import UserError

_PRICE = re.compile(r'(\d+(?:\.\d+)?) (\S{1,8})')
_DEVICES = re.compile(r'(\d{1,9}) × .+', re.DOTALL)


class Price(NamedTuple):
  """What one device costs for an hour, in a currency."""

  amount: float
  currency: str


def parse(text: str) -> Price | None:
  """Returns the price of '1.20 USD', or None of ''.

  Raises:
    UserError: the text is neither.
  """
  if not text:
    return None
  found = _PRICE.fullmatch(text)
  if not found or math.isinf(float(found[1])):
    raise UserError(
      f'--price_per_hour={text!r}: expected a price and its currency, for '
      "example '1.20 USD'"
    )
  return Price(float(found[1]), found[2])


def faults(text: str) -> list[str]:
  """Returns what is wrong with the text of a price."""
  try:
    parse(text)
  except UserError as error:
    return [*error.faults]
  return []


def device_hours(devices: str, seconds: float) -> float:
  """Returns the hours of all devices together.

  Args:
    devices: as `hardware.devices` describes them: '8 × TPU v4'.
    seconds: of wall time; all devices are held while one computes.

  Returns:
    0 if either is unknown ('', 0).
  """
  found = _DEVICES.fullmatch(devices)
  return int(found[1]) * seconds / 3600 if found else 0.0


def number(value: float) -> str:
  """Returns an amount with the digits that matter: '0.038', '12.35'."""
  if value >= 1000:
    return f'{value:,.0f}'
  return f'{value:.2f}' if value >= 0.1 else f'{value:.2g}'

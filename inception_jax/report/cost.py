"""What a run has cost: hours of devices, and money."""

import math
import re
from typing import NamedTuple

from absl import flags

_PRICE = re.compile(r'(\d+(?:\.\d+)?) (\S{1,8})')
_DEVICES = re.compile(r'(\d{1,9}) × .+', re.DOTALL)


class Price(NamedTuple):
  """What one device costs for an hour, in a currency."""

  amount: float
  currency: str


class PriceParser(flags.ArgumentParser):
  """Reads a flag such as '1.20 USD'."""

  def parse(self, argument: str) -> Price:
    """Returns the price; raises ValueError if it is none."""
    found = _PRICE.fullmatch(argument)
    if not found or math.isinf(float(found[1])):
      raise ValueError("expected a price and its currency, as '1.20 USD'")
    return Price(float(found[1]), found[2])


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
  """Returns an amount with the digits that matter: '0.038', '1,234.57'."""
  return f'{value:,.2f}' if value >= 1 else f'{value:.2g}'

"""Weights whose values follow from a formula, in timm's names."""

import numpy as np
import pytest

from tests.parity import cases
from tests.parity import compare


@pytest.fixture(scope='package')
def timm_v3():
  case = cases.named('timm-inception_v3')
  with np.load(compare.golden_path(case)) as golden:
    return compare.weights_of(case, golden)

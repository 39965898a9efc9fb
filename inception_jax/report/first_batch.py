"""What a page shows of the first training batch."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from inception_jax.report import pictures


def described(
  images: np.ndarray, targets: np.ndarray, names: Sequence[str]
) -> list[dict[str, Any]]:
  """Returns each image's 'picture', a data: URL, and 'labels'.

  Args:
    images: uint8 [B, S, S, C].
    targets: float32 [B, N], of one class or, mixed, of two.
    names: of the classes.
  """
  return [
    {
      'picture': pictures.png_url(image),
      'labels': [
        (names[i], float(target[i]))
        for i in np.argsort(-target, kind='stable')[:2]
        if target[i]
      ],
    }
    for image, target in zip(images, targets, strict=True)
  ]

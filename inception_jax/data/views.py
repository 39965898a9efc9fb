"""Evaluation protocols: the views of an image that an evaluation averages.

The host decodes an image once and resizes it into canvases; the device cuts
the views out of them.
"""

from typing import NamedTuple

# Shorter sides, in sevenths of the network's size: of GoogLeNet's 224 they
# are 256, 288, 320 and 352 (Szegedy et al. 2015, section 7).
_SCALES = {'12_crops': (8,), '144_crops': (8, 9, 10, 11)}
# Squares of each scale: the center, or left, center and right (top, center and
# bottom of an upright image), as fractions of the free length.
_PLACES = {'12_crops': (0.5,), '144_crops': (0.0, 0.5, 1.0)}
PROTOCOLS = ('single', 'mirror', *_SCALES)


class View(NamedTuple):
  """A window of the network's size."""

  canvas: str  # key of the canvas in the batch
  square: int  # index of the square in the canvas
  top: int  # first row in the square
  left: int  # first column in the square
  mirrored: bool  # whether left and right are swapped


def places(protocol: str) -> tuple[float, ...]:
  """Returns where the squares of a scale lie: 0 at one end, 1 at the other."""
  return _PLACES[protocol]


def sides(protocol: str, size: int) -> dict[str, int]:
  """Returns the side in pixels of each canvas's squares; {} without squares.

  A batch also has the canvas 'image': the card's crop or, where there are
  squares, all of them scaled down to the network's size.
  """
  return {
    f'scale_{sevenths}': size * sevenths // 7
    for sevenths in _SCALES.get(protocol, ())
  }


def pixels(protocol: str, size: int) -> int:
  """Returns how many pixels the canvases of an image have together."""
  scales = sides(protocol, size).values()
  squares = len(_PLACES.get(protocol, ()))
  return sum(squares * (t**2 + size**2) for t in scales) or size**2


def views(protocol: str, size: int) -> list[View]:
  """Returns the views of a protocol, whose probabilities are averaged.

  '12_crops' and '144_crops' are GoogLeNet's: of each square its corners, its
  center and the whole of it, each also mirrored.
  """
  whole = [View('image', 0, 0, 0, False)]
  if protocol == 'single':
    return whole
  plain = []
  squares = len(_PLACES.get(protocol, (0.5,)))
  for i, (canvas, side) in enumerate(sides(protocol, size).items()):
    last, middle = side - size, (side - size) // 2
    corners = [(top, left) for top in (0, last) for left in (0, last)]
    for square in range(squares):
      for top, left in [*corners, (middle, middle)]:
        plain.append(View(canvas, square, top, left, False))
      plain.append(View('image', i * squares + square, 0, 0, False))
  plain = plain or whole
  return plain + [view._replace(mirrored=True) for view in plain]

"""What an evaluation looks at of an image, by the name of its protocol.

The host decodes an image once and resizes it into canvases; the device cuts
the views out of them.
"""

from typing import NamedTuple

# Shorter sides, in sevenths of the network's size: of GoogLeNet's 224 they
# are 256, 288, 320 and 352 (Szegedy et al. 2015, section 7).
_SCALES = {'12_crops': (8,), '144_crops': (8, 9, 10, 11)}

# Of the image at each scale: its centre, or left, centre and right (of an
# upright one top, centre and bottom), as shares of the way across.
_PLACES = {'12_crops': (0.5,), '144_crops': (0.0, 0.5, 1.0)}

PROTOCOLS = ('single', 'mirror', *_SCALES)


class View(NamedTuple):
  """A window of the network's size.

  Attributes:
    canvas: of the batch, by its key.
    square: which of the canvas's squares.
    top: first row of it.
    left: first column.
    mirrored: left for right.
  """

  canvas: str
  square: int
  top: int
  left: int
  mirrored: bool


def places(protocol: str) -> tuple[float, ...]:
  """Where the squares of a scale lie on the longer side, as shares of it."""
  return _PLACES[protocol]


def sides(protocol: str, size: int) -> dict[str, int]:
  """The side in pixels of the squares in each canvas; {} without squares.

  Besides these a batch has 'image': the card's own crop or, where there are
  squares, all of them scaled down to the network's size.
  """
  return {
    f'scale_{sevenths}': size * sevenths // 7
    for sevenths in _SCALES.get(protocol, ())
  }


def views(protocol: str, size: int) -> list[View]:
  """All views of a protocol, whose predicted probabilities are averaged.

  '12_crops' and '144_crops' are GoogLeNet's: of each square its corners, its
  centre and the whole of it, each also mirrored.
  """
  if protocol == 'single':
    return [View('image', 0, 0, 0, False)]
  found = []
  squares = len(_PLACES.get(protocol, (0.5,)))
  canvases = sides(protocol, size)
  for i, (canvas, side) in enumerate(canvases.items()):
    last, middle = side - size, (side - size) // 2
    corners = [(top, left) for top in (0, last) for left in (0, last)]
    for square in range(squares):
      for top, left in [*corners, (middle, middle)]:
        found.append(View(canvas, square, top, left, False))
      found.append(View('image', i * squares + square, 0, 0, False))
  found = found or [View('image', 0, 0, 0, False)]
  return found + [view._replace(mirrored=True) for view in found]

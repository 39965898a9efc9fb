"""Writes the pixels that OpenCV, MindSpore and TF-slim make of small images.

  make parity-pixels   # rewrites tests/parity/golden/pixels-*.npz

Each runs in an environment of its own (reference_pixels.py). Tests compare
their pixels with those of data.opencv, and of data.decode with the cards of
weights.sources.
"""

import argparse
import io
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image

HERE = pathlib.Path(__file__).parent
LIBRARIES = ('opencv', 'mindspore', 'slim')
# (height, width, channels), then (height, width) after resizing: down and up,
# by 2, odd, far down, by different factors, one pixel wide, by 1.
RESIZES = (
  ((29, 41, 3), (16, 23)),
  ((9, 13, 3), (20, 20)),
  ((32, 24, 3), (16, 12)),
  ((40, 27, 1), (15, 17)),
  ((75, 100, 3), (12, 12)),
  ((12, 50, 3), (19, 10)),
  ((7, 1, 3), (5, 4)),
  ((8, 9, 3), (8, 9)),
)
# Evaluation of images of these heights and widths, with this side and, in
# MindSpore, the shorter side resized to this.
CROPS = ((44, 63), (63, 22), (31, 31), (50, 37), (29, 52))
SIDE, SHORTER = 12, 22


def image(height: int, width: int, channels: int = 3) -> np.ndarray:
  """Returns uint8 [H, W, C] as of a photograph: gradients, edges and noise."""
  random = np.random.RandomState(height * 1000 + width)
  y, x = np.mgrid[:height, :width]
  levels = [
    128 + 90 * np.sin(x / (3 + i) + i) * np.cos(y / (5 - i)) + 40 * (x > 2 * y)
    for i in range(channels)
  ]
  noise = random.uniform(-12, 12, (height, width, channels))
  return (np.stack(levels, -1) + noise).clip(0, 255).astype(np.uint8)


def golden(library: str):
  """Opens a library's golden file, which has its `version`."""
  return np.load(HERE / 'golden' / f'pixels-{library}.npz')


def inputs() -> dict[str, np.ndarray]:
  """Returns what reference_pixels.py reads."""
  file = io.BytesIO()
  Image.fromarray(image(61, 46)).save(file, 'jpeg', quality=85)
  found = {'jpeg': np.frombuffer(file.getvalue(), np.uint8)}
  for i, (shape, size) in enumerate(RESIZES):
    found |= {f'image_{i}': image(*shape), f'size_{i}': np.array(size)}
  found |= {f'crop_{i}': image(*shape) for i, shape in enumerate(CROPS)}
  return found | {'side': np.array(SIDE), 'shorter': np.array(SHORTER)}


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  for library in LIBRARIES:
    parser.add_argument(f'--{library}', help='its interpreter')
  args = parser.parse_args()
  with tempfile.TemporaryDirectory() as folder:
    given = pathlib.Path(folder, 'inputs.npz')
    np.savez(given, **inputs())
    for library in LIBRARIES:
      if python := getattr(args, library):
        out = HERE / 'golden' / f'pixels-{library}.npz'
        program = str(HERE / 'reference_pixels.py')
        flags = f'--package={library}', f'--inputs={given}', f'--out={out}'
        subprocess.run([python, program, *flags], check=True)
        print(out, file=sys.stderr)


if __name__ == '__main__':
  main()

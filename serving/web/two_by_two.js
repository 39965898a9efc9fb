// Resizing without antialiasing, as inception_jax/data/resize.py: each pixel is
// a mean of two by two of the image's. `opencv_bilinear` gives the pixels of
// OpenCV exactly, in integers; `tf1_bilinear` those of TensorFlow 1, in float32.
// Browsers decode JPEGs with libjpeg's accurate transform, TensorFlow 1 with the
// fast one.

const {ceil, floor, fround, max, min} = Math;

// For each method: `taps`, for each output pixel, the two input pixels of an
// axis and their weights or, in float32, the part of the second; `across` and
// `down`, the mean of two pixels of a row, and of two results of `across`.
const METHODS = {
  opencv_bilinear: {
    tap(x, from, to) {
      // OpenCV divides twice in float64, then rounds the position to float32.
      const at = fround((x + 0.5) * (1 / (to / from)) - 0.5);
      const part = fround(at - floor(at));
      const weights = [fround(1 - part), part].map((w) => roundToEven(w * 2048));
      return {at: [floor(at), floor(at) + 1], weights};
    },
    across: (a, b, [v, w]) => (a * v + b * w) >> 4,
    down: (a, b, [v, w]) => (((a * v) >> 16) + ((b * w) >> 16) + 2) >> 2,
  },
  tf1_bilinear: {
    tap(x, from, to) {
      const at = fround(x * fround(from / to));
      return {at: [floor(at), ceil(at)], weights: fround(at - floor(at))};
    },
    across: blend,
    down: (a, b, part) => floor(fround(blend(a, b, part) + 0.5)),
  },
};
export const TWO_BY_TWO = Object.keys(METHODS);

// Like `resize` of pixels.js.
export function resizeTwoByTwo(
  {data, width, height, channels},
  toWidth,
  toHeight,
  method,
) {
  const {tap, across, down} = METHODS[method];
  const taps = (from, to) =>
    Array.from({length: to}, (_, x) => {
      const {at, weights} = tap(x, from, to);
      return [...at.map((i) => max(0, min(i, from - 1))), weights];
    });
  const columns = taps(width, toWidth);
  const rows = new Map(); // blended rows of the image, by their index
  const blended = (y) => {
    if (!rows.has(y)) {
      const row = new Float32Array(toWidth * channels);
      const begin = y * width;
      let at = 0;
      for (const [left, right, weights] of columns) {
        const [a, b] = [left, right].map((x) => (begin + x) * channels);
        for (let c = 0; c < channels; c++) {
          row[at++] = across(data[a + c], data[b + c], weights);
        }
      }
      rows.set(y, row);
    }
    return rows.get(y);
  };
  const resized = new Uint8ClampedArray(toHeight * toWidth * channels);
  let at = 0;
  for (const [top, bottom, weights] of taps(height, toHeight)) {
    const [above, below] = [blended(top), blended(bottom)];
    for (let i = 0; i < above.length; i++) {
      resized[at++] = down(above[i], below[i], weights);
    }
    // Rows that were passed are not read again.
    for (const y of rows.keys()) if (y < top) rows.delete(y);
  }
  return {data: resized, width: toWidth, height: toHeight, channels};
}

function blend(a, b, part) {
  return fround(a + fround(fround(b - a) * part));
}

export function roundToEven(x) {
  const down = floor(x);
  if (x - down !== 0.5) return floor(x + 0.5);
  return down + (down % 2);
}

// Preprocessing: crop, resize and normalise, as eval_image in
// inception_jax/data/decode.py.
//
// Pixels are opaque RGBA, as in a canvas; for a network of one channel they are
// grey, one byte each. `bilinear` and `bicubic` give Pillow's pixels
// (Resample.c) exactly; `area` and `nearest` are TensorFlow's, in float32. For
// the others see two_by_two.js.

import {PageError} from './page_error.js';
import {TWO_BY_TWO, resizeTwoByTwo, roundToEven} from './two_by_two.js';

const {abs, ceil, floor, fround, max, min, sign, trunc} = Math;

const KERNELS = {
  bilinear: {radius: 1, at: (x) => max(0, 1 - x)},
  bicubic: {
    radius: 2,
    at(x) {
      if (x >= 2) return 0;
      if (x >= 1) return (((x - 5) * x + 8) * x - 4) * -0.5;
      return (1.5 * x - 2.5) * x * x + 1;
    },
  },
};
const UNIT = 2 ** 22; // Pillow's weights are fixed-point numbers of 22 bits
export const MAX_PIXELS = 80_000_000; // as inception_jax/models/card.py
const ASPECT_RATIO = 16; // of an image at its shorter side, as decode.py
export const INTERPOLATIONS = [
  ...Object.keys(KERNELS),
  'area',
  'nearest',
  ...TWO_BY_TWO,
];
// As inception_jax/models/card.py describes them.
export const CROPS = [
  'central',
  'tf_central',
  'short_side',
  'mindspore_short_side',
  'squash',
];

// The part of an image that is resized, as {left, top, width, height}.
export function cropWindow(width, height, card) {
  const {crop_mode: mode, crop_fraction: fraction} = card;
  const crop = {
    central: (x) => max(1, roundToEven(fround(x * fround(fraction)))),
    tf_central: (x) => x - 2 * floor((x - x * fraction) / 2),
  }[mode];
  if (!crop) return {left: 0, top: 0, width, height};
  const [w, h] = [crop(width), crop(height)];
  return {
    left: floor((width - w) / 2),
    top: floor((height - h) / 2),
    width: w,
    height: h,
  };
}

// RGBA of the crop window → RGBA or grey of input_size × input_size. Throws a
// PageError if the image would be too large in between.
export function preprocess(rgba, width, height, card) {
  const channels = card.mean.length === 1 ? 1 : 4;
  const data = channels === 1 ? grey(rgba) : rgba;
  const image = {data, width, height, channels};
  const side = card.input_size;
  const isMindspore = card.crop_mode === 'mindspore_short_side';
  if (card.crop_mode !== 'short_side' && !isMindspore) {
    return resize(image, side, side, card.interpolation).data;
  }
  // 1e-6: a fraction that is itself a quotient, as 299 / 341, may round down.
  const shorter = floor(side / card.crop_fraction + 1e-6);
  const least = min(width, height);
  const [across, down] = [width, height].map((extent) =>
    isMindspore
      ? floor(fround(fround(extent / least) * shorter))
      : floor((shorter * extent) / least),
  );
  // A strip one pixel wide grows by `shorter` in both directions.
  const most = max(MAX_PIXELS, ASPECT_RATIO * shorter ** 2);
  if (across * down > most) {
    throw new PageError('tooLarge', {width: across, height: down, max: most});
  }
  const resized = resize(image, across, down, card.interpolation);
  return centreCrop(resized, side, isMindspore ? floor : roundToEven);
}

// Output of `preprocess` → float32 [channels, S, S]: (image − mean) / std.
export function normalise(data, card) {
  const step = card.mean.length === 1 ? 1 : 4;
  const count = data.length / step;
  const tensor = new Float32Array(card.mean.length * count);
  card.mean.forEach((mean, channel) => {
    const std = fround(card.std[channel]);
    const values = Float32Array.from(
      {length: 256},
      (_, level) => fround(level - fround(mean)) / std,
    );
    for (let i = 0; i < count; i++) {
      tensor[channel * count + i] = values[data[i * step + channel]];
    }
  });
  return tensor;
}

// Output of `preprocess` → uint8 [S, S, channels], without alpha.
export function withoutAlpha(data, card) {
  if (card.mean.length === 1) return Uint8Array.from(data);
  return Uint8Array.from(data).filter((_, i) => i % 4 < 3);
}

// Output of `preprocess` → RGBA, for display.
export function toRgba(data, card) {
  if (card.mean.length !== 1) return data;
  const rgba = new Uint8ClampedArray(4 * data.length).fill(255);
  data.forEach((level, i) => rgba.fill(level, 4 * i, 4 * i + 3));
  return rgba;
}

function grey(rgba) {
  const data = new Uint8ClampedArray(rgba.length / 4);
  const unit = fround(1 / 255);
  const weights = [0.2989, 0.587, 0.114].map(fround);
  for (let i = 0; i < data.length; i++) {
    let sum = 0;
    for (let c = 0; c < 3; c++) {
      sum = fround(sum + fround(fround(rgba[4 * i + c] * unit) * weights[c]));
    }
    data[i] = floor(fround(sum * 255.5));
  }
  return data;
}

// One axis after the other. With Pillow's kernels the result is rounded in
// between; the first axis is that of inception_jax/data/resize.py.
function resize(image, toWidth, toHeight, method) {
  if (TWO_BY_TWO.includes(method)) {
    return resizeTwoByTwo(image, toWidth, toHeight, method);
  }
  const {data, width, height, channels} = image;
  const Partial = method in KERNELS ? Uint8ClampedArray : Float32Array;
  const across = taps(method, width, toWidth);
  const down = taps(method, height, toHeight);
  const resized = new Uint8ClampedArray(toHeight * toWidth * channels);
  const removed = height - toHeight;
  if (removed > 0 && removed > 2 * (width - toWidth)) {
    const partial = new Partial(toHeight * width * channels);
    resample(data, 1, width * channels, down, partial);
    resample(partial, toHeight, channels, across, resized);
  } else {
    const partial = new Partial(height * toWidth * channels);
    resample(data, height, channels, across, partial);
    resample(partial, 1, toWidth * channels, down, resized);
  }
  return {data: resized, width: toWidth, height: toHeight, channels};
}

// [outer, from, inner] → [outer, to, inner], weighted sums over `from`.
function resample(source, outer, inner, {from, all, unit}, target) {
  const isInteger = target instanceof Uint8ClampedArray;
  const sums = unit > 1 ? new Float64Array(inner) : new Float32Array(inner);
  let at = 0;
  for (let block = 0; block < outer; block++) {
    for (const {start, weights} of all) {
      let read = (block * from + start) * inner;
      sums.fill(0);
      for (const weight of weights) {
        for (let i = 0; i < inner; i++) sums[i] += weight * source[read++];
      }
      for (let i = 0; i < inner; i++) {
        // The array clips, but by itself would round halves to even.
        target[at++] = isInteger ? floor(sums[i] / unit + 0.5) : sums[i];
      }
    }
  }
}

// For each output pixel: the first input pixel that it reads, and the weights,
// whose sum is `unit`.
function taps(method, from, to) {
  const tap = {nearest: nearestTap, area: areaTap}[method] ?? kernelTap;
  const all = Array.from({length: to}, (_, x) => tap(x, from, to, method));
  return {from, all, unit: method in KERNELS ? UNIT : 1};
}

function nearestTap(x, from, to) {
  const start = floor(fround(fround(x + 0.5) * fround(from / to)));
  return {start: min(start, from - 1), weights: [1]};
}

function areaTap(x, from, to) {
  const step = fround(from / to);
  const [begin, end] = [fround(x * step), fround((x + 1) * step)];
  const start = floor(begin);
  const weights = [];
  for (let i = start; i < min(ceil(end), from); i++) {
    weights.push((min(i + 1, end) - max(i, begin)) / step);
  }
  return {start, weights};
}

// Antialiased: when downsampling, the kernel is stretched by the step.
function kernelTap(x, from, to, method) {
  const {radius, at} = KERNELS[method];
  const step = from / to;
  const stretch = max(step, 1);
  const middle = (x + 0.5) * step;
  const reach = radius * stretch;
  const start = max(0, trunc(middle - reach + 0.5));
  const end = min(from, trunc(middle + reach + 0.5));
  const exact = Array.from({length: end - start}, (_, i) =>
    at(abs((start + i - middle + 0.5) * (1 / stretch))),
  );
  const sum = exact.reduce((total, weight) => total + weight, 0);
  const weights = exact.map((weight) =>
    trunc((weight / sum) * UNIT + 0.5 * sign(weight)),
  );
  return {start, weights};
}

function centreCrop({data, width, height, channels}, side, round) {
  const left = round((width - side) / 2);
  const top = round((height - side) / 2);
  const square = new Uint8ClampedArray(side * side * channels);
  for (let y = 0; y < side; y++) {
    const begin = ((top + y) * width + left) * channels;
    const row = data.subarray(begin, begin + side * channels);
    square.set(row, y * side * channels);
  }
  return square;
}

// An image as the network sees it: inception_jax/data/decode.py's eval_image.
//
// Pixels are RGBA, as a canvas has them, all opaque; for a network of one
// channel they are grey, one byte each. `bilinear` and `bicubic` are Pillow's
// (Resample.c), to the last bit; `area` and `nearest` TensorFlow's, in float32
// as there.

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
const ONE = 2 ** 22; // weights of theirs are whole numbers of its parts
export const INTERPOLATIONS = [...Object.keys(KERNELS), 'area', 'nearest'];
export const CROPS = ['central', 'short_side', 'squash'];

// What of an image is looked at, before it is resized.
export function view(width, height, card) {
  if (card.crop_mode !== 'central') return {left: 0, top: 0, width, height};
  const share = (x) =>
    max(1, roundToEven(fround(x * fround(card.crop_fraction))));
  const [w, h] = [share(width), share(height)];
  return {
    left: floor((width - w) / 2),
    top: floor((height - h) / 2),
    width: w,
    height: h,
  };
}

// RGBA of the view → that or grey, of input_size × input_size.
export function prepare(rgba, width, height, card) {
  const channels = card.mean.length === 1 ? 1 : 4;
  const data = channels === 1 ? grey(rgba) : rgba;
  const image = {data, width, height, channels};
  const side = card.input_size;
  if (card.crop_mode !== 'short_side') {
    return resize(image, side, side, card.interpolation).data;
  }
  // Not to be one too few where the share was itself a quotient, as 299 / 341.
  const shorter = floor(side / card.crop_fraction + 1e-6);
  const [across, down] = [width, height].map((extent) =>
    floor((shorter * extent) / min(width, height)),
  );
  return centre(resize(image, across, down, card.interpolation), side);
}

// float32 [channels, S, S] of what `prepare` made: (image − mean) / std.
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

// As a picture: RGBA of what `prepare` made.
export function shown(data, card) {
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

// The smooth ones go to whole levels in between, and down first where that
// loses much, as inception_jax/data/resize.py.
function resize({data, width, height, channels}, toWidth, toHeight, method) {
  const between = method in KERNELS ? Uint8ClampedArray : Float32Array;
  const across = taps(method, width, toWidth);
  const down = taps(method, height, toHeight);
  const done = new Uint8ClampedArray(toHeight * toWidth * channels);
  const lost = height - toHeight;
  if (lost > 0 && lost > 2 * (width - toWidth)) {
    const low = new between(toHeight * width * channels);
    resample(data, 1, width * channels, down, low);
    resample(low, toHeight, channels, across, done);
  } else {
    const wide = new between(height * toWidth * channels);
    resample(data, height, channels, across, wide);
    resample(wide, 1, toWidth * channels, down, done);
  }
  return {data: done, width: toWidth, height: toHeight, channels};
}

// [outer, from, inner] → [outer, to, inner], weighted sums over `from`.
function resample(source, outer, inner, {from, all, one}, target) {
  const whole = target instanceof Uint8ClampedArray;
  const sums = one > 1 ? new Float64Array(inner) : new Float32Array(inner);
  let at = 0;
  for (let block = 0; block < outer; block++) {
    for (const {start, weights} of all) {
      let read = (block * from + start) * inner;
      sums.fill(0);
      for (const weight of weights) {
        for (let i = 0; i < inner; i++) sums[i] += weight * source[read++];
      }
      for (let i = 0; i < inner; i++) {
        // The array itself would round halves to even; it does clip.
        target[at++] = whole ? floor(sums[i] / one + 0.5) : sums[i];
      }
    }
  }
}

// For each pixel of `to`: the first one of `from` in it, and the weights, whose
// sum is `one`.
function taps(method, from, to) {
  const find = {nearest: nearest, area: covered}[method] ?? smooth;
  const all = Array.from({length: to}, (_, x) => find(x, from, to, method));
  return {from, all, one: method in KERNELS ? ONE : 1};
}

function nearest(x, from, to) {
  const start = floor(fround(fround(x + 0.5) * fround(from / to)));
  return {start: min(start, from - 1), weights: [1]};
}

function covered(x, from, to) {
  const step = fround(from / to);
  const [begin, end] = [fround(x * step), fround((x + 1) * step)];
  const start = floor(begin);
  const weights = [];
  for (let i = start; i < min(ceil(end), from); i++) {
    weights.push((min(i + 1, end) - max(i, begin)) / step);
  }
  return {start, weights};
}

// Antialiased: where the image shrinks, the kernel grows with the step.
function smooth(x, from, to, method) {
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
    trunc((weight / sum) * ONE + 0.5 * sign(weight)),
  );
  return {start, weights};
}

function centre({data, width, height, channels}, side) {
  const left = roundToEven((width - side) / 2);
  const top = roundToEven((height - side) / 2);
  const square = new Uint8ClampedArray(side * side * channels);
  for (let y = 0; y < side; y++) {
    const begin = ((top + y) * width + left) * channels;
    const row = data.subarray(begin, begin + side * channels);
    square.set(row, y * side * channels);
  }
  return square;
}

function roundToEven(x) {
  const down = floor(x);
  if (x - down !== 0.5) return floor(x + 0.5);
  return down + (down % 2);
}

// An image as the network sees it: inception_jax/data/decode.py's eval_image.
//
// Pixels are RGBA, as a canvas has them, all opaque; for a network of one
// channel they are grey, one byte each. TensorFlow's resampling is in float32,
// and so is this where it decides which pixel is taken.

const {ceil, floor, fround, max, min} = Math;

const KERNELS = {
  bilinear: {radius: 1, at: (x) => max(0, 1 - x)},
  bicubic: {
    radius: 2,
    at(x) {
      if (x >= 2) return 0;
      if (x >= 1) return ((-0.5 * x + 2.5) * x - 4) * x + 2;
      return (1.5 * x - 2.5) * x * x + 1;
    },
  },
};
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

// Across, then down. The smooth ones go to whole levels in between, as PIL's.
function resize({data, width, height, channels}, toWidth, toHeight, method) {
  const between = method in KERNELS ? Uint8ClampedArray : Float32Array;
  const wide = new between(height * toWidth * channels);
  resample(data, height, channels, taps(method, width, toWidth), wide);
  const done = new Uint8ClampedArray(toHeight * toWidth * channels);
  resample(wide, 1, toWidth * channels, taps(method, height, toHeight), done);
  return {data: done, width: toWidth, height: toHeight, channels};
}

// [outer, from, inner] → [outer, to, inner], weighted sums over `from`.
function resample(source, outer, inner, {from, all}, target) {
  const whole = target instanceof Uint8ClampedArray;
  const sums = new Float32Array(inner);
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
        target[at++] = whole ? floor(sums[i] + 0.5) : sums[i];
      }
    }
  }
}

// For each pixel of `to`: the first one of `from` in it, and the weights.
function taps(method, from, to) {
  const find = {nearest: nearest, area: covered}[method] ?? smooth;
  const all = Array.from({length: to}, (_, x) => find(x, from, to, method));
  return {from, all};
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
  const step = fround(1 / fround(to / from));
  const stretch = max(step, 1);
  const middle = fround(fround(x + 0.5) * step);
  const reach = fround(radius * stretch);
  const start = max(0, ceil(fround(fround(middle - reach) - 0.5)));
  const last = min(from - 1, floor(fround(fround(middle + reach) - 0.5)));
  const weights = Float32Array.from({length: last - start + 1}, (_, i) =>
    at(Math.abs(fround(start + i + 0.5 - middle) / stretch)),
  );
  const sum = weights.reduce((total, weight) => fround(total + weight), 0);
  return {start, weights: weights.map((weight) => weight * fround(1 / sum))};
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

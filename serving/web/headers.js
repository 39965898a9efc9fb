// What an image may ask of its decoder, checked before that is called, as in
// inception_jax/data/headers.py: a file of a few kB may decode to gigabytes.

import {PageError} from './page_error.js';
import {MAX_PIXELS} from './pixels.js';

const MAX_SCANS = 100; // of an image of that size
const JPEG = '\xff\xd8\xff';
const [FILL, SCAN, END, EXIF, COMMENT] = [0xff, 0xda, 0xd9, 0xe1, 0xfe];
const CONTROL = 0xf9; // the extension of a GIF
// The markers from 0xc0 to 0xcf that do not start a JPEG's frame.
const TABLES = [0xc4, 0xc8, 0xcc];

// Throws a PageError unless the bytes are an image that is safe to decode.
export function check(bytes) {
  const [width, height] = size(bytes);
  const pixels = width * height;
  if (pixels > MAX_PIXELS) {
    throw new PageError('tooLarge', {width, height, max: MAX_PIXELS});
  }
  const scans = starts(bytes, JPEG) ? countScans(bytes) : 1;
  if (scans * pixels > MAX_SCANS * MAX_PIXELS) {
    throw new PageError('tooManyScans', {scans, width, height});
  }
}

// Turns a JPEG's EXIF segments into comments, because browsers rotate the image
// by them regardless of the options of createImageBitmap.
export function removeOrientation(bytes) {
  if (!starts(bytes, JPEG)) return;
  for (const {marker, at} of segments(bytes)) {
    if (marker === EXIF) bytes[at - 1] = COMMENT;
  }
}

// What is under an image's transparent pixels, as a CSS colour, undefined if they
// keep their own. Of a GIF these are made opaque, because browsers lose their
// colours, and the canvas around a smaller frame has one, too.
export function under(bytes, background) {
  const color = background === 'none' ? undefined : background;
  if (!starts(bytes, 'GIF8')) return color;
  const {frame, control} = firstFrame(bytes);
  const isClear = control > 0 && (bytes[control + 3] & 1) === 1;
  if (isClear && color) return color;
  if (isClear) bytes[control + 3] &= ~1;
  const palette = bytes[frame + 9] & 128 ? frame + 10 : 13;
  const at = palette + 3 * (isClear ? bytes[control + 6] : 0);
  return `rgb(${bytes.subarray(at, at + 3)})`;
}

// [width, height] of the first frame.
function size(bytes) {
  const view = new DataView(bytes.buffer);
  const u16 = (at) => view.getUint16(at, true);
  const u32 = (at) => view.getUint32(at, true);
  const u24 = (at) => u32(at - 1) >>> 8;
  const has = (word, at) => starts(bytes, word, at);
  try {
    if (has(JPEG)) return jpegSize(bytes, view);
    if (has('\x89PNG\r\n\x1a\n\0\0\0\rIHDR')) {
      return [view.getUint32(16), view.getUint32(20)];
    }
    if (has('GIF8')) {
      const {frame} = firstFrame(bytes);
      return [6, 8].map((at) => Math.max(u16(at), u16(frame + at - 1)));
    }
    if (has('BM')) {
      if (u32(14) === 12) return [u16(18), u16(20)]; // the header of OS/2
      return [u32(18), Math.abs(view.getInt32(22, true))];
    }
    const isWebp = (kind) => has('RIFF') && has(`WEBP${kind}`, 8);
    if (isWebp('VP8 ')) return [26, 28].map((at) => u16(at) % 2 ** 14);
    if (isWebp('VP8L')) {
      return [0, 14].map((bit) => ((u32(21) >>> bit) % 2 ** 14) + 1);
    }
    if (isWebp('VP8X')) return [24, 27].map((at) => u24(at) + 1);
  } catch {
    throw new PageError('badImage'); // the file ends before its size
  }
  throw new PageError('unknownFormat');
}

function starts(bytes, word, at = 0) {
  return Array.from(word).every((x, i) => bytes[at + i] === x.charCodeAt(0));
}

// The segments of a JPEG up to its first scan; `at` is where their length is.
// As libjpeg does, skips what is no marker.
function* segments(bytes) {
  for (let at = 2; at < bytes.length; ) {
    while (at < bytes.length && bytes[at] !== FILL) at++;
    while (bytes[at] === FILL) at++;
    const marker = bytes[at++];
    if (marker === SCAN || marker === END) return;
    const isAlone = marker <= 0x01 || (marker >= 0xd0 && marker <= 0xd7);
    if (isAlone) continue;
    yield {marker, at};
    at += 256 * bytes[at] + bytes[at + 1];
  }
}

function jpegSize(bytes, view) {
  for (const {marker, at} of segments(bytes)) {
    if (marker >> 4 !== 0xc || TABLES.includes(marker)) continue;
    return [view.getUint16(at + 5), view.getUint16(at + 3)];
  }
  throw new RangeError();
}

function countScans(bytes) {
  let count = 0;
  let at = bytes.indexOf(FILL);
  for (; at >= 0; at = bytes.indexOf(FILL, at + 1)) {
    if (bytes[at + 1] === SCAN) count++;
  }
  return count;
}

// Where the first frame of a GIF is, and the extension before it that says which
// pixels are transparent, 0 if there is none.
function firstFrame(bytes) {
  const palette = bytes[10] & 128 ? 6 << (bytes[10] & 7) : 0;
  let frame = 13 + palette;
  let control = 0;
  while (bytes[frame] === '!'.charCodeAt(0)) {
    if (bytes[frame + 1] === CONTROL) control = frame;
    frame += 2;
    while (bytes[frame]) frame += bytes[frame] + 1;
    frame++;
  }
  return {frame, control};
}

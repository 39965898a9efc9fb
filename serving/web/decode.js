// The pixels of an image's view as they are in the file: not turned upright,
// not converted to the screen's colours, nothing left out for transparency.

import {Fault} from './fault.js';
import {view} from './pixels.js';

const MOST_PIXELS = 80_000_000; // inception_jax/models/card.py
const AS_THEY_ARE = {colorSpaceConversion: 'none', premultiplyAlpha: 'none'};

// ImageData, all opaque.
export async function decoded(file, card) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  forgetOrientation(bytes);
  const bitmap = await createImageBitmap(new Blob([bytes]), AS_THEY_ARE).catch(
    () => {
      throw new Fault('badImage');
    },
  );
  const {width, height} = bitmap;
  if (width * height > MOST_PIXELS) {
    bitmap.close();
    throw new Fault('tooLarge', {width, height, most: MOST_PIXELS});
  }
  const part = view(width, height, card);
  const canvas = new OffscreenCanvas(part.width, part.height);
  const context = canvas.getContext('2d', {willReadFrequently: true});
  context.drawImage(bitmap, -part.left, -part.top);
  bitmap.close();
  const image = context.getImageData(0, 0, part.width, part.height);
  if (isOpaque(image.data)) return image;
  return uncovered(bytes, file.type, part).catch(() => image);
}

// EXIF of a JPEG becomes a comment: browsers turn the image by it whatever
// createImageBitmap is told.
function forgetOrientation(bytes) {
  const [marker, start, exif, scan, comment] = [0xff, 0xd8, 0xe1, 0xda, 0xfe];
  if (bytes[0] !== marker || bytes[1] !== start) return;
  let at = 2;
  while (bytes[at] === marker && bytes[at + 1] !== scan) {
    if (bytes[at + 1] === exif) bytes[at + 1] = comment;
    at += 2 + 256 * bytes[at + 2] + bytes[at + 3];
  }
}

function isOpaque(data) {
  for (let i = 3; i < data.length; i += 4) if (data[i] < 255) return false;
  return true;
}

// A canvas keeps colours multiplied by alpha, and so loses those that are
// transparent, which Python sees. Browsers that have this decoder keep them.
async function uncovered(data, type, {left: x, top: y, width, height}) {
  const decoder = new ImageDecoder({data, type, ...AS_THEY_ARE});
  const {image: frame} = await decoder.decode();
  const formats = {RGBA: 0, BGRA: 2}; // where red is
  const place = formats[frame.format];
  if (place === undefined) throw new Error('not as it is in the file');
  const copy = new Uint8ClampedArray(4 * width * height);
  await frame.copyTo(copy, {rect: {x, y, width, height}});
  decoder.close();
  const pixels = new Uint8ClampedArray(copy.length).fill(255);
  for (let i = 0; i < copy.length; i += 4) {
    pixels[i] = copy[i + place];
    pixels[i + 1] = copy[i + 1];
    pixels[i + 2] = copy[i + 2 - place];
  }
  return {data: pixels, width, height};
}

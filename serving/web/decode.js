// Decodes an image as Python does: with EXIF orientation if the card says so,
// without conversion to the screen's colour space, with the colours of
// transparent pixels or over the card's background.

import {check, removeOrientation, under} from './headers.js';
import {PageError} from './page_error.js';
import {cropWindow} from './pixels.js';

const UNCONVERTED = {colorSpaceConversion: 'none', premultiplyAlpha: 'none'};

// The opaque pixels in the card's crop window, as {data, width, height}.
export async function decode(file, card) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  check(bytes);
  if (card.exif !== 'apply') removeOrientation(bytes);
  const background = under(bytes, card.background ?? 'none');
  const bitmap = await createImageBitmap(new Blob([bytes]), UNCONVERTED).catch(
    () => {
      throw new PageError('badImage');
    },
  );
  const {width, height} = bitmap;
  const crop = cropWindow(width, height, card);
  const canvas = new OffscreenCanvas(crop.width, crop.height);
  const context = canvas.getContext('2d', {willReadFrequently: true});
  if (background) {
    context.fillStyle = background;
    context.fillRect(0, 0, crop.width, crop.height);
  }
  context.drawImage(bitmap, -crop.left, -crop.top);
  bitmap.close();
  const image = context.getImageData(0, 0, crop.width, crop.height);
  if (isOpaque(image.data)) return image;
  return decodeUnderAlpha(bytes, file.type, crop).catch(() => image);
}

function isOpaque(data) {
  for (let i = 3; i < data.length; i += 4) if (data[i] < 255) return false;
  return true;
}

// A canvas stores colours multiplied by alpha, and so loses the colours of
// transparent pixels, which Python keeps. ImageDecoder, where the browser has
// it, keeps them, too.
async function decodeUnderAlpha(data, type, {left: x, top: y, width, height}) {
  const decoder = new ImageDecoder({data, type, ...UNCONVERTED});
  const {image: frame} = await decoder.decode();
  const formats = {RGBA: 0, BGRA: 2}; // the offset of red
  const red = formats[frame.format];
  if (red === undefined) throw new Error(`${frame.format}: not supported`);
  const copy = new Uint8ClampedArray(4 * width * height);
  await frame.copyTo(copy, {rect: {x, y, width, height}});
  decoder.close();
  const pixels = new Uint8ClampedArray(copy.length).fill(255);
  for (let i = 0; i < copy.length; i += 4) {
    pixels[i] = copy[i + red];
    pixels[i + 1] = copy[i + 1];
    pixels[i + 2] = copy[i + 2 - red];
  }
  return {data: pixels, width, height};
}

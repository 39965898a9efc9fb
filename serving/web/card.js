// What an ONNX file says of itself: the JSON that tools.export wrote into it.

import {Fault} from './fault.js';
import {CROPS, INTERPOLATIONS} from './pixels.js';

const KEY = 'inception_jax';
const VERSION = 1;
const METADATA = 14; // ModelProto.metadata_props

// {model, card, classes}, as inception_jax/models/card.py describes them. The
// runtime does not tell a file's metadata, so they are read from its bytes.
export function read(bytes) {
  const text = metadata(bytes).get(KEY);
  if (text === undefined) throw new Fault('noCard');
  let about;
  try {
    about = JSON.parse(text);
  } catch {
    throw new Fault('badCard', {what: text.slice(0, 40)});
  }
  for (const [key, holds] of Object.entries(EXPECTED)) {
    const value = key.split('.').reduce((x, part) => x?.[part], about);
    if (!holds(value, about)) {
      const what = `${key}=${JSON.stringify(value)}`;
      throw new Fault('badCard', {what});
    }
  }
  return about;
}

const isCount = (x) => Number.isInteger(x) && x > 0;
const areNumbers = (x) => Array.isArray(x) && x.every(Number.isFinite);
const areNames = (x) =>
  Array.isArray(x) && x.every((name) => typeof name === 'string');

const EXPECTED = {
  'version': (x) => x === VERSION,
  'model.num_classes': isCount,
  'classes': areNames,
  'card.input_size': isCount,
  'card.mean': (x) => areNumbers(x) && (x.length === 1 || x.length === 3),
  'card.std': (x, {card}) =>
    areNumbers(x) && x.length === card.mean.length && x.every((s) => s > 0),
  'card.crop_mode': (x) => CROPS.includes(x),
  'card.crop_fraction': (x) => Number.isFinite(x) && x > 0 && x <= 1,
  'card.interpolation': (x) => INTERPOLATIONS.includes(x),
};

function metadata(bytes) {
  const decoder = new TextDecoder();
  const found = new Map();
  for (const [field, entry] of fields(bytes)) {
    if (field !== METADATA) continue;
    const {1: key, 2: value} = Object.fromEntries(fields(entry));
    found.set(decoder.decode(key), decoder.decode(value));
  }
  return found;
}

// Each field of a protobuf message that has a length, as [number, bytes]. The
// bytes are a view: the weights, hundreds of megabytes, are passed over.
function* fields(bytes) {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; scale < 2 ** 70 && at < bytes.length; scale *= 128) {
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
    throw new Fault('notOnnx');
  };
  while (at < bytes.length) {
    const tag = varint();
    const kind = tag % 8;
    if (kind === 0) {
      varint();
      continue;
    }
    const size = {1: () => 8, 2: varint, 5: () => 4}[kind]?.();
    if (!(at + size <= bytes.length)) throw new Fault('notOnnx');
    if (kind === 2) yield [Math.floor(tag / 8), bytes.subarray(at, at + size)];
    at += size;
  }
}

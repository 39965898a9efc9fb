// Reads the metadata that tools.export writes into an ONNX file, as JSON.

import {PageError} from './page_error.js';
import {CROPS, INTERPOLATIONS} from './pixels.js';

const KEY = 'inception_jax';
const VERSION = 1;
const METADATA = 14; // ModelProto.metadata_props
// Limits for files that were not written by tools.export.
const MAX_SIZE = 4096;
const MAX_NAME = 1000;

// {model, card, classes}, as inception_jax/export/metadata.py writes them;
// inception_jax/models/card.py describes the card. onnxruntime-web gives no
// access to a file's metadata, so they are read from its bytes.
export function readMetadata(bytes) {
  const text = metadataProps(bytes).get(KEY);
  if (text === undefined) throw new PageError('noCard');
  let metadata;
  try {
    metadata = JSON.parse(text);
  } catch {
    throw new PageError('badCard', {what: text.slice(0, 40)});
  }
  for (const [key, isValid] of Object.entries(VALIDATORS)) {
    const value = key.split('.').reduce((x, part) => x?.[part], metadata);
    if (!isValid(value, metadata)) {
      const what = `${key}=${JSON.stringify(value)}`;
      throw new PageError('badCard', {what});
    }
  }
  return metadata;
}

const isCount = (x) => Number.isInteger(x) && x > 0;
const isSize = (x) => isCount(x) && x <= MAX_SIZE;
const isName = (x) => typeof x === 'string' && x.length <= MAX_NAME;
const areNumbers = (x) => Array.isArray(x) && x.every(Number.isFinite);
const areNames = (x) => Array.isArray(x) && x.every(isName);

const VALIDATORS = {
  'version': (x) => x === VERSION,
  'model.name': isName,
  'model.num_classes': isCount,
  'classes': areNames,
  'card.input_size': isSize,
  'card.mean': (x) => areNumbers(x) && (x.length === 1 || x.length === 3),
  'card.std': (x, {card}) =>
    areNumbers(x) && x.length === card.mean.length && x.every((s) => s > 0),
  'card.crop_mode': (x) => CROPS.includes(x),
  'card.crop_fraction': (x) => Number.isFinite(x) && x > 0 && x <= 1,
  'card.interpolation': (x) => INTERPOLATIONS.includes(x),
  'card.exif': (x) => [undefined, 'ignore', 'apply'].includes(x),
  'card.background': (x) =>
    [undefined, 'none', 'white', 'black'].includes(x) ||
    /^#[0-9a-f]{6}$/i.test(x),
};

function metadataProps(bytes) {
  const decoder = new TextDecoder();
  const props = new Map();
  for (const [field, entry] of fields(bytes)) {
    if (field !== METADATA) continue;
    const {1: key, 2: value} = Object.fromEntries(fields(entry));
    props.set(decoder.decode(key), decoder.decode(value));
  }
  return props;
}

// The length-delimited fields of a protobuf message, as [number, bytes]. The
// bytes are views: the weights, hundreds of megabytes, are not copied.
function* fields(bytes) {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; scale < 2 ** 70 && at < bytes.length; scale *= 128) {
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
    throw new PageError('notOnnx');
  };
  while (at < bytes.length) {
    const tag = varint();
    const wireType = tag % 8;
    if (wireType === 0) {
      varint();
      continue;
    }
    const size = {1: () => 8, 2: varint, 5: () => 4}[wireType]?.();
    if (!(at + size <= bytes.length)) throw new PageError('notOnnx');
    if (wireType === 2) {
      yield [Math.floor(tag / 8), bytes.subarray(at, at + size)];
    }
    at += size;
  }
}

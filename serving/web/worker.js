// Loads a network and classifies images, one task at a time, in a thread of its
// own, so that the page stays responsive. Its messages name their `kind`.

import {readMetadata} from './card.js';
import {decode} from './decode.js';
import {PageError} from './page_error.js';
import * as pixels from './pixels.js';
import * as ort from './vendor/ort.wasm.bundle.min.mjs';

const TOP_K = 5;

// More threads need a server that sends cross-origin isolation headers.
ort.env.wasm.numThreads = 1;

let network = null;
let lastTask = Promise.resolve();
const TASKS = {load, classify};

// What a network takes: normalized images, or those that it normalizes itself.
const INPUTS = {
  images: (image, card) => {
    const {mean: {length: channels}, input_size: size} = card;
    const values = pixels.normalise(image, card);
    return new ort.Tensor('float32', values, [1, channels, size, size]);
  },
  pixels: (image, card) => {
    const {mean: {length: channels}, input_size: size} = card;
    const values = pixels.withoutAlpha(image, card);
    return new ort.Tensor('uint8', values, [1, size, size, channels]);
  },
};

self.onmessage = ({data: {task, ...rest}}) => {
  lastTask = lastTask.then(() => TASKS[task](rest)).catch((error) => {
    const known = error instanceof PageError;
    const code = known ? error.code : 'unexpected';
    const values = known ? error.values : {what: String(error)};
    postMessage({kind: 'failed', id: rest.id, code, values});
  });
};

// `source` is a URL or a File.
async function load({source}) {
  await network?.session.release();
  network = null;
  const bytes = await readBytes(source);
  const metadata = readMetadata(bytes);
  postMessage({kind: 'starting'});
  const session = await createSession(bytes);
  network = {metadata, session};
  const {model, card: {input_size: size}} = metadata;
  postMessage({kind: 'ready', model, size});
}

async function readBytes(source) {
  let stream = source;
  let total = source.size;
  if (!(source instanceof File)) {
    // No redirect leads to another origin.
    const options = {mode: 'same-origin'};
    const response = await fetch(source, options).catch(() => null);
    if (!response?.ok) throw new PageError('noNetwork', {url: source});
    total = Number(response.headers.get('Content-Length'));
    stream = response;
  }
  const chunks = [];
  let count = 0;
  const reader = (stream.body ?? stream.stream()).getReader();
  for (;;) {
    const {done, value} = await reader.read();
    if (done) break;
    chunks.push(value);
    count += value.length;
    // With compression there are more bytes than the header states.
    const percent = total ? Math.min(100, Math.floor(100 * count / total)) : 0;
    postMessage({kind: 'loading', percent});
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

async function createSession(bytes) {
  const options = {executionProviders: ['wasm'], logSeverityLevel: 3};
  let session;
  try {
    session = await ort.InferenceSession.create(bytes, options);
  } catch (error) {
    const runtime = /backend/.test(error.message);
    const what = error.message.slice(0, 200);
    throw new PageError(runtime ? 'noRuntime' : 'badNetwork', {what});
  }
  const {inputNames, outputNames} = session;
  const isKnown = Object.hasOwn(INPUTS, inputNames.join());
  if (!isKnown || !outputNames.includes('logits')) {
    const what = [...inputNames, ...outputNames].join();
    throw new PageError('badNetwork', {what});
  }
  return session;
}

async function classify({id, file}) {
  if (!network) throw new PageError('notReady');
  const {metadata: {card, classes}, session} = network;
  postMessage({kind: 'classifying', id});
  const begin = performance.now();
  const {data, width, height} = await decode(file, card);
  const image = pixels.preprocess(data, width, height, card);
  const input = session.inputNames[0];
  const tensor = INPUTS[input](image, card);
  const preprocessed = performance.now();
  const {input_size: size} = card;
  const {logits} = await session.run({[input]: tensor}, ['logits']);
  const done = performance.now();
  postMessage({
    kind: 'classified',
    id,
    size,
    image: pixels.toRgba(image, card),
    top: topClasses(logits.data, classes),
    preprocessing: preprocessed - begin,
    running: done - preprocessed,
  });
}

function softmax(logits) {
  const max = logits.reduce((a, b) => Math.max(a, b));
  const exponentials = Array.from(logits, (x) => Math.exp(x - max));
  const sum = exponentials.reduce((a, b) => a + b);
  return exponentials.map((x) => x / sum);
}

// By logits, since many probabilities of a confident network are 0.
function topClasses(logits, classes) {
  const probabilities = softmax(logits);
  return Array.from(logits, (logit, i) => (
    {name: classes[i] ?? `output ${i}`, logit, probability: probabilities[i]}
  )).sort((a, b) => b.logit - a.logit).slice(0, TOP_K);
}

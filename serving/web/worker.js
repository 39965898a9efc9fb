// Loads a network and classifies images, one thing after the other, so that
// the page stays free. It answers with messages that name their `kind`.

import * as card from './card.js';
import {decoded} from './decode.js';
import {Fault} from './fault.js';
import * as pixels from './pixels.js';
import * as ort from './vendor/ort.wasm.bundle.min.mjs';

const GUESSES = 5;

// More would be workers of their own, which a page has only where its server
// sends headers that isolate it.
ort.env.wasm.numThreads = 1;

let network = null;
let turn = Promise.resolve();
const TASKS = {load, classify};

self.onmessage = ({data: {task, ...rest}}) => {
  turn = turn.then(() => TASKS[task](rest)).catch((error) => {
    const known = error instanceof Fault;
    const code = known ? error.code : 'unexpected';
    const mentions = known ? error.mentions : {what: String(error)};
    postMessage({kind: 'failed', id: rest.id, code, mentions});
  });
};

// `source` is a URL or a File.
async function load({source}) {
  await network?.session.release();
  network = null;
  const bytes = await received(source);
  const about = card.read(bytes);
  postMessage({kind: 'starting'});
  const session = await started(bytes);
  network = {about, session};
  const {model, card: {input_size: size}} = about;
  postMessage({kind: 'ready', model, size});
}

async function received(source) {
  let stream = source;
  let total = source.size;
  if (!(source instanceof File)) {
    const response = await fetch(source).catch(() => null);
    if (!response?.ok) throw new Fault('noNetwork', {url: source});
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
    // What is compressed on the way has more bytes than the header says.
    const percent = total ? Math.min(100, Math.floor(100 * count / total)) : 0;
    postMessage({kind: 'loading', percent});
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

async function started(bytes) {
  const options = {executionProviders: ['wasm'], logSeverityLevel: 3};
  let session;
  try {
    session = await ort.InferenceSession.create(bytes, options);
  } catch (error) {
    const runtime = /backend/.test(error.message);
    const what = error.message.slice(0, 200);
    throw new Fault(runtime ? 'noRuntime' : 'badNetwork', {what});
  }
  const names = [...session.inputNames, ...session.outputNames].join();
  if (names !== 'images,logits') throw new Fault('badNetwork', {what: names});
  return session;
}

async function classify({id, file}) {
  if (!network) throw new Fault('notReady');
  const {about, session} = network;
  postMessage({kind: 'classifying', id});
  const begin = performance.now();
  const {data, width, height} = await decoded(file, about.card);
  const image = pixels.prepare(data, width, height, about.card);
  const tensor = pixels.normalise(image, about.card);
  const prepared = performance.now();
  const {mean: {length: channels}, input_size: size} = about.card;
  const {logits} = await session.run({
    images: new ort.Tensor('float32', tensor, [1, channels, size, size]),
  });
  const done = performance.now();
  postMessage({
    kind: 'classified',
    id,
    size,
    image: pixels.shown(image, about.card),
    best: best(softmax(logits.data), about.classes),
    preparing: prepared - begin,
    running: done - prepared,
  });
}

function softmax(logits) {
  const most = logits.reduce((a, b) => Math.max(a, b));
  const odds = Array.from(logits, (x) => Math.exp(x - most));
  const sum = odds.reduce((a, b) => a + b);
  return odds.map((x) => x / sum);
}

function best(odds, classes) {
  return odds
    .map((share, i) => ({name: classes[i] ?? `output ${i}`, share}))
    .sort((a, b) => b.share - a.share)
    .slice(0, GUESSES);
}

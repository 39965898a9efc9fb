// The page: takes images and a network, sends them to the worker and shows its
// results.

import {camera} from './camera.js';
import {fill, text} from './text.js';

const $ = (id) => document.getElementById(id);
const SMALL = 100; // pixels; smaller pictures are drawn unsmoothed

const entries = new Map(); // {file, card, outcome} by the id of the request
let worker;
let nextId = 0;

function start() {
  fill(document);
  if (typeof WebAssembly === 'undefined') {
    showNetwork('noWasm', {}, true);
    return;
  }
  worker = createWorker();
  worker.onmessage = ({data: {kind, ...rest}}) => HANDLERS[kind](rest);
  worker.onerror = () => showNetwork('noRuntimeFiles', {}, true);
  const url = networkUrl();
  if (url) load(url);
  else showNetwork('badUrl', {}, true);

  $('images').onchange = ({target}) => addChosen(target);
  $('network').onchange = ({target}) => addChosen(target);
  camera({
    open: $('open-camera'),
    close: $('close-camera'),
    shoot: $('take'),
    panel: $('camera'),
    video: $('video'),
    onPicture: (picture) => add([picture]),
    onError: (what) => showStatus('noCamera', {what}, true),
  });
  document.ondragover = (event) => {
    event.preventDefault();
    document.body.classList.add('dropping');
  };
  document.ondragleave = ({relatedTarget}) => {
    if (!relatedTarget) document.body.classList.remove('dropping');
  };
  document.ondrop = (event) => {
    event.preventDefault();
    document.body.classList.remove('dropping');
    if (event.dataTransfer.files.length) add(event.dataTransfer.files);
    else showStatus('noFiles', {}, true);
  };
}

// The network that the page's address names: null unless it is an .onnx file of
// the same server, because anyone may have written a link to this page.
function networkUrl() {
  const name = new URLSearchParams(location.search).get('model');
  let url;
  try {
    url = new URL(name ?? 'network.onnx', location);
  } catch {
    return null;
  }
  const {origin, protocol, pathname} = url;
  const isHere = origin === location.origin && protocol === location.protocol;
  return isHere && isNetwork({name: pathname}) ? url.href : null;
}

// A worker from a URL has the content security policy of its HTTP response, and
// servers send none. One from a blob inherits the page's, which allows requests
// to the page's origin only.
function createWorker() {
  const url = JSON.stringify(new URL('worker.js', import.meta.url));
  const script = new Blob([`import ${url}`], {type: 'text/javascript'});
  return new Worker(URL.createObjectURL(script), {type: 'module'});
}

const isNetwork = ({name}) => name.toLowerCase().endsWith('.onnx');

function addChosen(input) {
  add(input.files);
  input.value = ''; // so that the same file can be chosen again
}

function add(files) {
  const network = Array.from(files).find(isNetwork);
  if (network) load(network);
  const images = Array.from(files).filter((file) => !isNetwork(file));
  const added = images.map((file) => {
    const card = $('result').content.cloneNode(true).firstElementChild;
    card.querySelector('h2').textContent = card.title = file.name;
    card.querySelector('canvas').setAttribute('aria-label', file.name);
    return {file, card};
  });
  $('results').prepend(...added.map(({card}) => card));
  added.forEach(submit);
}

// The id is new, so that results of an earlier network are ignored.
function submit(entry) {
  entries.delete(entry.id);
  entry.id = nextId++;
  entries.set(entry.id, entry);
  entry.outcome = null;
  showState(entry, text('waiting'));
  worker.postMessage({task: 'classify', id: entry.id, file: entry.file});
}

// Loads a network, and classifies all images again.
function load(source) {
  showNetwork('loading', {percent: 0});
  showStatus('waiting');
  worker.postMessage({task: 'load', source});
  Array.from(entries.values()).forEach(submit);
}

const HANDLERS = {
  loading: ({percent}) => showNetwork('loading', {percent}),
  starting: () => showNetwork('starting'),
  ready({model: {name, num_classes: classes}, size}) {
    showNetwork('loaded', {name, size, classes});
    showStatus('ready');
  },
  classifying({id}) {
    const entry = entries.get(id);
    if (!entry) return;
    const {name} = entry.file;
    showState(entry, text('classifying', {name}));
    showStatus('classifying', {name});
  },
  classified({id, preprocessing, running, top, image, size}) {
    const entry = entries.get(id);
    if (!entry) return;
    draw(entry, image, size);
    const times = {
      preprocessing: Math.round(preprocessing),
      running: Math.round(running),
    };
    finish(entry, text('times', times), 'done');
    entry.card.querySelector('ol').replaceChildren(...top.map(row));
  },
  failed({id, code, values}) {
    if (id === undefined) {
      showNetwork(code, values, true);
      showStatus('');
    } else if (entries.has(id)) {
      finish(entries.get(id), text(code, values), 'failed');
    }
  },
};

function finish(entry, message, outcome) {
  entry.outcome = outcome;
  showState(entry, message);
  const outcomes = Array.from(entries.values(), (each) => each.outcome);
  if (outcomes.includes(null)) return;
  const count = (wanted) => outcomes.filter((each) => each === wanted).length;
  showStatus('done', {done: count('done'), failed: count('failed')});
}

function showState({card, outcome}, message) {
  const paragraph = card.querySelector('.state');
  paragraph.textContent = message;
  paragraph.classList.toggle('bad', outcome === 'failed');
  if (outcome !== 'done') card.querySelector('ol').replaceChildren();
}

function row({name, probability}) {
  const [item, label, value, bar] = ['li', 'span', 'data', 'i'].map((tag) =>
    document.createElement(tag),
  );
  label.textContent = label.title = name;
  value.value = probability;
  value.textContent = `${(100 * probability).toFixed(1)} %`;
  bar.style.setProperty('--probability', `${100 * probability}%`);
  item.append(label, value, bar);
  return item;
}

function draw({card, file}, image, size) {
  const canvas = card.querySelector('canvas');
  canvas.width = canvas.height = size;
  canvas.classList.toggle('small', size < SMALL);
  canvas.setAttribute('aria-label', text('seen', {name: file.name}));
  const pixels = new ImageData(image, size, size);
  canvas.getContext('2d').putImageData(pixels, 0, 0);
}

// Two lines of text: one about the network, one about the images.
const showNetwork = (...message) => show($('about'), ...message);
const showStatus = (...message) => show($('status'), ...message);

function show(element, key, values = {}, bad = false) {
  element.textContent = key && text(key, values);
  element.classList.toggle('bad', bad);
}

start();

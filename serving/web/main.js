// The page: takes images and a network, hands them to the worker, shows what
// it answers.

import {camera} from './camera.js';
import {fill, text} from './text.js';

const $ = (id) => document.getElementById(id);
const SMALL = 100; // pixels; below, a picture is drawn in squares

const entries = new Map(); // by what the worker calls them
let worker;
let asked = 0;

function start() {
  fill(document);
  if (typeof WebAssembly === 'undefined') return network('noWasm', {}, true);
  worker = thread();
  worker.onmessage = ({data: {kind, ...rest}}) => ANSWERS[kind](rest);
  worker.onerror = () => network('noVendor', {}, true);
  const wanted = new URLSearchParams(location.search).get('model');
  const url = new URL(wanted ?? 'network.onnx', location);
  if (url.origin === location.origin) load(url.href);
  else network('elsewhere', {url: url.origin}, true);

  $('images').onchange = ({target}) => take(target);
  $('network').onchange = ({target}) => take(target);
  camera({
    open: $('open-camera'),
    close: $('close-camera'),
    shoot: $('take'),
    panel: $('camera'),
    video: $('video'),
    onPicture: (picture) => add([picture]),
    onFault: (what) => say('noCamera', {what}, true),
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
    else say('nothing', {}, true);
  };
}

// A worker has the policy of the server's answer, which sends none; one that
// is made from a blob has this page's, and can no more than it send anything.
function thread() {
  const url = JSON.stringify(new URL('worker.js', import.meta.url));
  const script = new Blob([`import ${url}`], {type: 'text/javascript'});
  return new Worker(URL.createObjectURL(script), {type: 'module'});
}

function take(input) {
  add(input.files);
  input.value = ''; // the same file may be chosen again
}

function add(files) {
  const isNetwork = ({name}) => name.toLowerCase().endsWith('.onnx');
  const chosen = Array.from(files).find(isNetwork);
  if (chosen) load(chosen);
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

// By a new name: what the worker still says of the one before is not of the
// network that there is now.
function submit(entry) {
  entries.delete(entry.id);
  entry.id = asked++;
  entries.set(entry.id, entry);
  entry.ended = null;
  state(entry, text('waiting'));
  worker.postMessage({task: 'classify', id: entry.id, file: entry.file});
}

// What was classified before is classified anew.
function load(source) {
  network('loading', {percent: 0});
  say('waiting');
  worker.postMessage({task: 'load', source});
  Array.from(entries.values()).forEach(submit);
}

const ANSWERS = {
  loading: ({percent}) => network('loading', {percent}),
  starting: () => network('starting'),
  ready({model: {name, num_classes: classes}, size}) {
    network('about', {name, size, classes});
    say('ready');
  },
  classifying({id}) {
    const entry = entries.get(id);
    if (!entry) return;
    const {name} = entry.file;
    state(entry, text('classifying', {name}));
    say('classifying', {name});
  },
  classified({id, preparing, running, best, image, size}) {
    const entry = entries.get(id);
    if (!entry) return;
    draw(entry, image, size);
    const took = {
      preparing: Math.round(preparing),
      running: Math.round(running),
    };
    end(entry, text('took', took), 'done');
    entry.card.querySelector('ol').replaceChildren(...best.map(row));
  },
  failed({id, code, mentions}) {
    if (id === undefined) {
      network(code, mentions, true);
      say('');
    } else if (entries.has(id)) {
      end(entries.get(id), text(code, mentions), 'failed');
    }
  },
};

function end(entry, said, ended) {
  entry.ended = ended;
  state(entry, said);
  const all = Array.from(entries.values(), (each) => each.ended);
  if (all.includes(null)) return;
  const count = (wanted) => all.filter((each) => each === wanted).length;
  say('done', {done: count('done'), failed: count('failed')});
}

function state({card, ended}, said) {
  const paragraph = card.querySelector('.state');
  paragraph.textContent = said;
  paragraph.classList.toggle('bad', ended === 'failed');
  if (ended !== 'done') card.querySelector('ol').replaceChildren();
}

function row({name, share}) {
  const [item, label, value, bar] = ['li', 'span', 'data', 'i'].map((tag) =>
    document.createElement(tag),
  );
  label.textContent = label.title = name;
  value.value = share;
  value.textContent = `${(100 * share).toFixed(1)} %`;
  bar.style.setProperty('--share', `${100 * share}%`);
  item.append(label, value, bar);
  return item;
}

function draw({card, file}, image, size) {
  const canvas = card.querySelector('canvas');
  canvas.width = canvas.height = size;
  canvas.classList.toggle('small', size < SMALL);
  const seen = text('seen', {name: file.name});
  canvas.setAttribute('aria-label', seen);
  const pixels = new ImageData(image, size, size);
  canvas.getContext('2d').putImageData(pixels, 0, 0);
}

// Two lines: what the network does, and what the images do.
const network = (...said) => line($('about'), ...said);
const say = (...said) => line($('status'), ...said);

function line(element, key, mentions = {}, bad = false) {
  element.textContent = key && text(key, mentions);
  element.classList.toggle('bad', bad);
}

start();

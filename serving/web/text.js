// All that the page says, in the reader's language.

const en = {
  title: 'What is in the picture?',
  promise: 'Images are classified in this browser and never leave it.',
  chooseImages: 'Choose images',
  openCamera: 'Camera',
  chooseNetwork: 'Choose network',
  dropHint: 'or drop images, or a network (.onnx), anywhere on this page',
  take: 'Take picture',
  closeCamera: 'Close camera',
  picture: 'Camera, {time}',
  seen: '{name}, as the network sees it',
  loading: 'Loading the network: {percent} %',
  starting: 'Starting the network …',
  about: '{name}, {size}×{size} pixels, {classes} classes',
  ready: 'Ready: choose images.',
  waiting: 'Waiting for the network …',
  classifying: 'Classifying {name} …',
  done: 'Images classified: {done}. Failed: {failed}.',
  took: 'Prepared in {preparing} ms, network {running} ms',
  nothing: 'Nothing was dropped that is a file.',
  noNetwork: 'No network at {url}: put one beside this page, or choose a file.',
  elsewhere: 'The network must come from this server, not from {url}.',
  notOnnx: 'This is not an ONNX file, or a part of one.',
  noCard: 'This network was not exported by inception_jax: it has no card.',
  badCard: 'The network’s card says what this page does not know: {what}.',
  badNetwork: 'This network cannot be run: {what}',
  noWasm: 'This browser has no WebAssembly, which running a network takes.',
  noRuntime: 'The runtime does not start: {what}',
  noVendor: 'The runtime is missing, or this browser is too old: make web.',
  notReady: 'There is no network to classify it.',
  badImage: 'This is not an image that the browser can read.',
  tooLarge: '{width}×{height} is more than {most} pixels.',
  noCamera: 'The camera cannot be used: {what}',
  insecure: 'a browser allows it on https or localhost only',
  unexpected: 'Unexpected: {what}',
};

const zh = {
  title: '图片里是什么？',
  promise: '图像只在本浏览器中分类，不会离开浏览器。',
  chooseImages: '选择图像',
  openCamera: '摄像头',
  chooseNetwork: '选择网络',
  dropHint: '或将图像、网络文件（.onnx）拖到页面任意处',
  take: '拍照',
  closeCamera: '关闭摄像头',
  picture: '摄像头，{time}',
  seen: '{name}（网络所见）',
  loading: '正在加载网络：{percent} %',
  starting: '正在启动网络……',
  about: '{name}，{size}×{size} 像素，{classes} 个类别',
  ready: '就绪，请选择图像。',
  waiting: '等待网络……',
  classifying: '正在分类 {name}……',
  done: '已分类 {done} 张，失败 {failed} 张。',
  took: '预处理 {preparing} 毫秒，网络 {running} 毫秒',
  nothing: '拖入的内容不是文件。',
  noNetwork: '{url} 处没有网络：请放在本页面旁，或选择文件。',
  elsewhere: '网络必须来自本服务器，而不是 {url}。',
  notOnnx: '这不是 ONNX 文件，或文件不完整。',
  noCard: '此网络不是由 inception_jax 导出的：没有卡片。',
  badCard: '网络的卡片中有本页面不认识的内容：{what}。',
  badNetwork: '无法运行此网络：{what}',
  noWasm: '此浏览器没有 WebAssembly，无法运行网络。',
  noRuntime: '运行库无法启动：{what}',
  noVendor: '缺少运行库，或浏览器过旧：make web。',
  notReady: '没有可用的网络。',
  badImage: '浏览器无法读取此图像。',
  tooLarge: '{width}×{height} 超过 {most} 像素。',
  noCamera: '无法使用摄像头：{what}',
  insecure: '浏览器只允许在 https 或 localhost 上使用',
  unexpected: '意外错误：{what}',
};

export const LANGUAGES = {en, zh};
const isChinese = navigator.language.startsWith('zh');
const texts = isChinese ? zh : en;

export function text(key, mentions = {}) {
  return texts[key].replace(/\{(\w+)\}/g, (_, name) => mentions[name]);
}

// Fills the elements that name a text.
export function fill(root) {
  root.documentElement.lang = isChinese ? 'zh-CN' : 'en';
  root.title = text('title');
  for (const element of root.querySelectorAll('[data-text]')) {
    element.textContent = text(element.dataset.text);
  }
}

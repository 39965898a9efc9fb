// The page's texts, in English and Chinese.

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
  loaded: '{name}, {size}×{size} pixels, {classes} classes',
  ready: 'Ready: choose images.',
  waiting: 'Waiting for the network …',
  classifying: 'Classifying {name} …',
  done: 'Images classified: {done}. Failed: {failed}.',
  times: 'Preprocessing {preprocessing} ms, network {running} ms',
  noFiles: 'What was dropped has no files.',
  noNetwork: 'No network at {url}: put one there, or choose a file.',
  badUrl: 'The network must come from this server: ?model=NAME.onnx.',
  notOnnx: 'This is not an ONNX file, or it is truncated.',
  noCard: 'This network was not exported by inception_jax: no metadata.',
  badCard: 'The network’s metadata has an unsupported value: {what}.',
  badNetwork: 'This network cannot be run: {what}',
  noWasm: 'This browser has no WebAssembly, so it cannot run a network.',
  noRuntime: 'onnxruntime-web cannot be started: {what}',
  noRuntimeFiles:
    'onnxruntime-web is missing: run make web. Or this browser is too old.',
  notReady: 'No network is loaded.',
  badImage: 'This is not an image that the browser can read.',
  unknownFormat: 'This is not a JPEG, PNG, GIF, BMP or WebP file.',
  tooLarge: '{width}×{height} is more than {max} pixels.',
  tooManyScans: '{scans} scans of {width}×{height} take too long to decode.',
  noCamera: 'The camera cannot be used: {what}',
  insecure: 'browsers allow it only on https or localhost',
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
  seen: '{name}（网络的输入）',
  loading: '正在加载网络：{percent} %',
  starting: '正在启动网络……',
  loaded: '{name}，{size}×{size} 像素，{classes} 个类别',
  ready: '就绪，请选择图像。',
  waiting: '等待网络……',
  classifying: '正在分类 {name}……',
  done: '已分类 {done} 张，失败 {failed} 张。',
  times: '预处理 {preprocessing} 毫秒，网络 {running} 毫秒',
  noFiles: '拖入的内容中没有文件。',
  noNetwork: '{url} 处没有网络：请将网络文件放到该处，或选择一个文件。',
  badUrl: '网络必须来自本服务器：?model=名称.onnx。',
  notOnnx: '这不是 ONNX 文件，或文件不完整。',
  noCard: '此网络不是由 inception_jax 导出的：没有元数据。',
  badCard: '网络的元数据中有不支持的值：{what}。',
  badNetwork: '无法运行此网络：{what}',
  noWasm: '此浏览器没有 WebAssembly，无法运行网络。',
  noRuntime: 'onnxruntime-web 无法启动：{what}',
  noRuntimeFiles: '缺少 onnxruntime-web：请运行 make web。也可能是浏览器过旧。',
  notReady: '尚未加载网络。',
  badImage: '浏览器无法读取此图像。',
  unknownFormat: '这不是 JPEG、PNG、GIF、BMP 或 WebP 文件。',
  tooLarge: '{width}×{height} 超过 {max} 像素。',
  tooManyScans: '{width}×{height} 的 {scans} 次扫描解码耗时过长。',
  noCamera: '无法使用摄像头：{what}',
  insecure: '浏览器只允许在 https 或 localhost 上使用',
  unexpected: '意外错误：{what}',
};

const MAX_LENGTH = 200;

export const LANGUAGES = {en, zh};
const isChinese = navigator.language.startsWith('zh');
const texts = isChinese ? zh : en;

// The values may come from a hostile file: they are shortened.
export function text(key, values = {}) {
  const value = (_, name) => String(values[name]).slice(0, MAX_LENGTH);
  return texts[key].replace(/\{(\w+)\}/g, value);
}

// Sets the text of every element with a data-text attribute.
export function fill(root) {
  root.documentElement.lang = isChinese ? 'zh-CN' : 'en';
  root.title = text('title');
  for (const element of root.querySelectorAll('[data-text]')) {
    element.textContent = text(element.dataset.text);
  }
}

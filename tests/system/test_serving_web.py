"""serving/web classifies in the browser as Python does."""

import contextlib
import shutil
from urllib.parse import quote
from urllib.parse import urlsplit

import numpy as np
from PIL import Image
import pytest

from tests.support import browser
from tests.support import hostile_images
from tests.support import pictures
from tests.support import web_page
from tests.support.web_page import pixels_of
from tests.support.web_page import results
from tests.support.web_page import wait


@pytest.fixture(scope='module')
def site(tmp_path_factory):
  root = tmp_path_factory.mktemp('site')
  web_page.write_site(root, tmp_path_factory.mktemp('base'))
  return root


@pytest.fixture(scope='module')
def photographs(tmp_path_factory):
  return web_page.write_photographs(tmp_path_factory.mktemp('photographs'))


@pytest.fixture(scope='module')
def expected(site, photographs):
  return web_page.expected_results(site, photographs)


@pytest.fixture(scope='module')
def digits(site, tmp_path_factory):
  """{path of a PNG: (pixels, probabilities)} of digits, in Python."""
  root = tmp_path_factory.mktemp('digits')
  pictures.write_digits(root)
  paths = sorted(root.rglob('*.png'))
  found = web_page.expected_results(site, paths, ['digits'])['digits']
  return dict(zip(paths, zip(*found, strict=True), strict=True))


# After `expected` and `digits`, because these run event loops of their own.
@pytest.fixture(scope='module')
def chromium(expected, digits):
  flags = (
    '--use-fake-device-for-media-stream',
    '--use-fake-ui-for-media-stream',
  )
  with browser.chromium(*flags) as opened:
    yield opened


@pytest.fixture(scope='module')
def address(site):
  with web_page.serve(site) as found:
    yield found


@pytest.fixture
def visit(chromium, address):
  """Opens the page; its console must stay empty, its requests local."""
  with contextlib.ExitStack() as stack:
    visits = []

    def opened(query='', width=1280, **options):
      visits.append(
        stack.enter_context(
          browser.tab(chromium, address + query, width, **options)
        )
      )
      return visits[-1].page

    yield opened
    for seen in visits:
      assert seen.console == []
      origins = {urlsplit(x)[:2] for x in seen.requests if x[:5] != 'data:'}
      assert origins <= {urlsplit(address)[:2], ('blob', '')}


def assert_same(found, pixels, probabilities, fraction=0.0):
  """At most this fraction of the pixels may differ, by one level."""
  assert_top_classes(found, probabilities, (*web_page.CLASSES, 'output 5'))
  difference = np.abs(pixels_of(found) - pixels)
  assert difference.max() <= 1
  assert (difference > 0).mean() <= fraction


def assert_top_classes(found, probabilities, names):
  best = np.argsort(-probabilities, kind='stable')[:5]
  assert [name for name, _, _ in found['top']] == [names[i] for i in best]
  values = [value for _, value, _ in found['top']]
  np.testing.assert_allclose(values, probabilities[best], atol=1e-3)
  texts = [text for _, _, text in found['top']]
  assert texts == [f'{100 * value:.1f} %' for value in values]


@pytest.mark.slow
def test_pixels_and_probabilities_equal_python(
  visit, site, photographs, expected
):
  page = visit()
  page.set_input_files('#images', photographs)
  for name, (pixels, probabilities) in expected.items():
    page.set_input_files('#network', site / f'{name}.onnx')
    wait(page, 'Images classified: 5. Failed: 0.')
    assert page.inner_text('#about') == 'tiny, 64×64 pixels, 6 classes'
    for i, found in enumerate(results(page)):
      assert found['name'] == photographs[i].name
      assert found['state'].startswith('Preprocessing ')
      # TensorFlow's `area` sums float32 in another order.
      fraction = 1e-3 if name == 'squash_area' else 0.0
      # Where alpha is mixed, browsers round twice.
      mixed = name == 'over' and found['name'] == 'd.png'
      fraction = 1.0 if mixed else fraction
      assert_same(found, pixels[i], probabilities[i], fraction)


@pytest.mark.slow
def test_results_of_the_previous_network_are_ignored(
  visit, site, photographs, expected
):
  page = visit()
  page.evaluate("""() => {
    const status = document.getElementById('status');
    const note = () => {
      if (window.seen || !status.textContent.includes('classified:')) return;
      const values = document.querySelectorAll('article data');
      window.seen = Array.from(values, ({value}) => Number(value));
    };
    new MutationObserver(note).observe(status, {childList: true});
  }""")
  page.set_input_files('#images', photographs)
  page.set_input_files('#network', site / 'grey.onnx')
  wait(page, 'Images classified: 5. Failed: 0.')
  best = -np.sort(-expected['grey'][1], axis=1)[:, :5]
  seen = np.reshape(page.evaluate('window.seen'), best.shape)
  np.testing.assert_allclose(seen, best, atol=1e-3)


@pytest.mark.slow
def test_digits_network(visit, digits):
  page = visit('?model=digits.onnx')
  page.set_input_files('#images', list(digits))
  wait(page, 'Images classified: 23. Failed: 0.')
  assert page.inner_text('#about') == 'inception_v3, 16×16 pixels, 10 classes'
  for found, path in zip(results(page), digits, strict=True):
    assert found['name'] == path.name
    pixels, probabilities = digits[path]
    assert_top_classes(found, probabilities, pictures.DIGITS)
    np.testing.assert_array_equal(pixels_of(found), pixels)


@pytest.mark.slow
def test_unreadable_images_are_reported_and_others_classified(
  visit, photographs, expected, tmp_path
):
  page = visit()
  broken = tmp_path / 'broken.jpg'
  broken.write_bytes(photographs[0].read_bytes()[:300])
  large = tmp_path / 'large.png'
  Image.new('1', (8001, 10_000)).save(large)
  page.set_input_files('#images', [broken, photographs[0], large])
  wait(page, 'Images classified: 1. Failed: 2.')
  first, second, third = results(page)
  assert first['name'] == 'broken.jpg'
  assert first['state'] == 'This is not an image that the browser can read.'
  assert third['state'] == '8001×10000 is more than 80000000 pixels.'
  assert first['top'] == third['top'] == []
  assert_same(second, *(x[0] for x in expected['network']))


@pytest.mark.slow
def test_images_that_ask_much_of_a_decoder_are_refused_before_it(
  visit, tmp_path
):
  page = visit()
  wait(page, 'Ready')
  (worker,) = page.workers
  worker.evaluate('self.createImageBitmap = self.ImageDecoder = null')
  refused = {
    name: (image, f'{width}×{height} is more than 80000000 pixels.')
    for name, (image, width, height) in hostile_images.too_large().items()
  }
  refused |= {
    'BMP of OS2': (
      hostile_images.bmp_of_os2(60_000, 0)[:20] + b'\xff' * 20,
      '60000×65535 is more than 80000000 pixels.',
    ),
    'scans': (
      hostile_images.jpeg_of_scans(600, 4000, 4000),
      '605 scans of 4000×4000 take too long to decode.',
    ),
    'cut': (
      hostile_images.picture('png')[:20],
      'This is not an image that the browser can read.',
    ),
    'no size': (
      b'\xff\xd8\xff\xe0\0\2\xff\xda\xff\xc0' + bytes(99),
      'This is not an image that the browser can read.',
    ),
    'two headers': (
      hostile_images.png_with_two_sizes(40, 30),
      'This is not a JPEG, PNG, GIF, BMP or WebP file.',
    ),
    'TIFF': (
      hostile_images.picture('tiff'),
      'This is not a JPEG, PNG, GIF, BMP or WebP file.',
    ),
  }
  for name, (image, _) in refused.items():
    (tmp_path / name).write_bytes(image)
  page.set_input_files('#images', [tmp_path / name for name in refused])
  wait(page, f'Images classified: 0. Failed: {len(refused)}.')
  for found in results(page):
    assert found['state'] == refused[found['name']][1], found['name']


def test_a_strip_does_not_grow_beyond_the_largest_image(visit):
  code = visit().evaluate("""async () => {
    const {preprocess} = await import('./pixels.js');
    const card = {input_size: 299, crop_mode: 'short_side', crop_fraction: 1,
                  interpolation: 'bilinear', mean: [0, 0, 0]};
    try {
      preprocess(new Uint8ClampedArray(4000), 1000, 1, card);
    } catch (error) {
      return error.code;
    }
  }""")
  assert code == 'tooLarge'


@pytest.mark.slow
def test_first_frames_and_other_containers_are_classified(visit, tmp_path):
  page = visit()
  images = {
    'moving.gif': hostile_images.moving('gif', comment=b'c' * 600),
    'many.gif': hostile_images.gif_of_frames(400, 900, 900),
    'moving.png': hostile_images.moving('png'),
    'moving.webp': hostile_images.moving('webp'),
    'two.jpg': hostile_images.moving('mpo'),
    'progressive.jpg': hostile_images.picture('jpeg', progressive=True),
    # Fill bytes before a marker, and bytes that are no marker.
    'filled.jpg': hostile_images.picture('jpeg').replace(
      b'\xff\xc0', b'\0\xff\xff\xff\xc0', 1
    ),
    'lossy.webp': hostile_images.picture('webp'),
    'lossless.webp': hostile_images.picture('webp', lossless=True),
    'palette.bmp': hostile_images.picture('bmp', mode='P'),
    'os2.bmp': hostile_images.bmp_of_os2(40, 30),
  }
  for name, image in images.items():
    (tmp_path / name).write_bytes(image)
  page.set_input_files('#images', [tmp_path / name for name in images])
  wait(page, f'Images classified: {len(images)}. Failed: 0.')


@pytest.mark.slow
def test_dropping_images_and_a_network(visit, site, photographs, expected):
  page = visit()
  page.set_input_files('#images', photographs[2])
  wait(page, 'Images classified: 1. Failed: 0.')
  files = {}
  for path in (photographs[0], site / 'bicubic.onnx'):
    files[path.name] = list(path.read_bytes())
  page.evaluate(
    """files => {
      const dataTransfer = new DataTransfer();
      for (const [name, bytes] of Object.entries(files)) {
        dataTransfer.items.add(new File([new Uint8Array(bytes)], name));
      }
      const options = {dataTransfer, bubbles: true, cancelable: true};
      for (const kind of ['dragover', 'drop']) {
        document.body.dispatchEvent(new DragEvent(kind, options));
      }
    }""",
    files,
  )
  wait(page, 'Images classified: 2. Failed: 0.')
  # The newest image comes first; the earlier one is classified again.
  for found, i in zip(results(page), (0, 2), strict=True):
    assert_same(found, *(x[i] for x in expected['bicubic']))


@pytest.mark.slow
def test_camera(visit):
  page = visit()
  page.click('#open-camera')
  page.click('#take')
  wait(page, 'Images classified: 1. Failed: 0.')
  (found,) = results(page)
  assert found['name'].startswith('Camera, ')
  assert len(np.unique(pixels_of(found))) > 2
  assert sum(probability for _, probability, _ in found['top']) > 0.5
  page.click('#close-camera')
  assert page.is_hidden('video')
  assert page.is_visible('#open-camera')


def test_invalid_networks_are_rejected_with_a_reason(chromium, address, site):
  missing = f'{address}?model=missing.onnx'
  with browser.tab(chromium, missing, 360) as seen:
    message = seen.page.locator('#about.bad')
    message.filter(has_text=f'No network at {address}missing.onnx').wait_for()
    for name, text in web_page.INVALID_NETWORKS.items():
      seen.page.set_input_files('#network', site / name)
      message.filter(has_text=text).wait_for()
      assert browser.overflow(seen.page) == 0
  assert [line for line in seen.console if '404' not in line] == []


def test_images_are_classified_once_a_network_is_loaded(
  visit, site, photographs, expected
):
  page = visit('?model=none.onnx')
  page.set_input_files('#images', photographs[0])
  wait(page, 'Images classified: 0. Failed: 1.')
  assert results(page)[0]['state'] == 'No network is loaded.'
  page.set_input_files('#network', site / 'short.onnx')
  wait(page, 'Images classified: 1. Failed: 0.')
  assert_same(results(page)[0], *(x[0] for x in expected['short']))


@pytest.mark.slow
def test_nothing_is_sent_to_another_origin(chromium, address, tmp_path):
  fetch = 'url => fetch(url, {mode: "no-cors"}).then(() => 1, () => 0)'
  with web_page.serve(tmp_path) as elsewhere:
    with browser.tab(chromium, address, 360) as seen:
      wait(seen.page, 'Ready')
      places = [seen.page, *seen.page.workers]
      assert len(places) == 2
      for place in places:
        assert place.evaluate(fetch, address) == 1
        assert place.evaluate(fetch, elsewhere) == 0
  assert len(seen.console) == 2
  assert all('Content Security Policy' in line for line in seen.console)


@pytest.mark.slow
def test_a_network_that_is_not_a_file_of_this_server_is_not_loaded(
  visit, address, site, tmp_path
):
  shutil.copy(site / 'network.onnx', tmp_path)
  with web_page.serve(tmp_path) as elsewhere:
    for name in (
      f'{elsewhere}network.onnx',
      elsewhere.replace('http:', '') + 'network.onnx',
      elsewhere.replace('http:', '').replace('/', '\\') + 'network.onnx',
      f'{address.replace("//", "//user@")[:-1]}@{elsewhere[7:]}network.onnx',
      f'blob:{address}network.onnx',
      f'data:text/plain,{address}network.onnx',
      'javascript:document.title="broken"//.onnx',
      'file:///etc/passwd.onnx',
      'http://[/network.onnx',
      'index.html',
      'index.html?network.onnx',
      '',
    ):
      page = visit(f'?model={quote(name)}')
      text = 'The network must come from this server: ?model=NAME.onnx.'
      page.locator('#about.bad').get_by_text(text, exact=True).wait_for()
      # The page works.
      assert page.evaluate(
        'document.getElementById("images").onchange !== null'
      )


@pytest.mark.slow
def test_no_redirect_leads_to_another_server(chromium, address, site, tmp_path):
  shutil.copy(site / 'network.onnx', tmp_path)
  with web_page.serve(tmp_path) as elsewhere:
    name = f'redirect.onnx?to={elsewhere}network.onnx'
    with browser.tab(chromium, f'{address}?model={quote(name)}', 360) as seen:
      text = f'No network at {address}redirect.onnx'
      seen.page.locator('#about.bad', has_text=text).wait_for()


@pytest.mark.slow
def test_the_address_and_the_network_cannot_inject_markup(
  chromium, address, site
):
  hostile = '<img src=x onerror=alert(1)>' + 'x' * 5000
  for name in (hostile, f'%3Cimg%20src=x%3E{hostile}'):
    query = f'?model={quote(name)}.onnx'
    with browser.tab(chromium, address + query, 360) as seen:
      seen.page.on('dialog', lambda dialog: pytest.fail(dialog.message))
      message = seen.page.locator('#about.bad', has_text='No network at')
      message.wait_for()
      assert len(message.inner_text()) < 300
      assert seen.page.locator('img').count() == 0
      assert browser.overflow(seen.page) == 0
      for network in ('long.onnx', 'wide.onnx', 'named.onnx'):
        seen.page.set_input_files('#network', site / network)
        text = 'has an unsupported value'
        message = seen.page.locator('#about.bad', has_text=text)
        message.wait_for()
        assert len(message.inner_text()) < 300
        seen.page.set_input_files('#network', site / 'none.onnx')
        seen.page.locator('#about.bad', has_text='no metadata').wait_for()


@pytest.mark.slow
@pytest.mark.parametrize(
  ('width', 'scheme', 'darkest'), [(360, 'dark', 0), (1280, 'light', 200)]
)
def test_layout_fits_the_screen_and_the_color_scheme(
  visit, photographs, width, scheme, darkest
):
  page = visit(width=width, color_scheme=scheme)
  page.set_input_files('#images', photographs)
  wait(page, 'Images classified: 5. Failed: 0.')
  page.click('#open-camera')
  page.locator('#take:enabled').wait_for()
  assert browser.overflow(page) == 0
  ground = page.evaluate('getComputedStyle(document.body).backgroundColor')
  levels = [int(x) for x in ground[4:-1].split(',')]
  assert darkest <= min(levels) <= max(levels) <= darkest + 55


@pytest.mark.slow
def test_chinese_texts_and_keyboard_operation(visit, photographs):
  page = visit(locale='zh-CN')
  # A handler, because Playwright does not wait for file choosers.
  page.on('filechooser', lambda chooser: chooser.set_files(photographs[0]))
  wait(page, '就绪')
  assert page.title() == '图片里是什么？'
  assert page.get_attribute('html', 'lang') == 'zh-CN'
  for wanted in ('选择图像', '摄像头', '选择网络'):
    page.keyboard.press('Tab')
    focused = 'document.activeElement.closest("label, button").innerText'
    assert page.evaluate(focused) == wanted
  for _ in range(2):
    page.keyboard.press('Shift+Tab')
  page.keyboard.press('Enter')
  wait(page, '已分类 1 张，失败 0 张。')


def test_both_languages_have_the_same_texts(visit):
  page = visit()
  keys = page.evaluate("""async () => {
    const {LANGUAGES} = await import('./text.js');
    return Object.values(LANGUAGES).map(texts => Object.entries(texts).map(
      ([key, text]) => [key, ...(text.match(/{\\w+}/g) ?? []).sort()]));
  }""")
  assert keys[0] == keys[1]
  assert len(keys[0]) > 30


def test_without_webassembly(chromium, address):
  with browser.tab(chromium, 'about:blank', 360) as seen:
    seen.page.add_init_script('delete globalThis.WebAssembly')
    seen.page.goto(address)
    seen.page.locator('#about.bad', has_text='no WebAssembly').wait_for()
  assert seen.console == []

"""The page that classifies in the browser, against what Python says."""

import contextlib
from urllib.parse import urlsplit

import numpy as np
from PIL import Image
import pytest

from tests.support import browser
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
  return web_page.in_python(site, photographs)


@pytest.fixture(scope='module')
def digits(site, tmp_path_factory):
  """PNGs of digits: by path, pixels and probabilities in Python."""
  root = tmp_path_factory.mktemp('digits')
  pictures.write_digits(root)
  paths = sorted(root.rglob('*.png'))
  found = web_page.in_python(site, paths, ['digits'])['digits']
  return dict(zip(paths, zip(*found, strict=True), strict=True))


# After all that runs an event loop of its own: these two come first.
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
  with web_page.served(site) as found:
    yield found


@pytest.fixture
def visit(chromium, address):
  """Opens the page; at the end, its console must have been silent."""
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
      origins = {urlsplit(x)[:2] for x in seen.asked if x[:5] != 'data:'}
      assert origins <= {urlsplit(address)[:2], ('blob', '')}


def assert_same(found, pixels, odds, off=0.0):
  """That share of the pixels may be a level off."""
  assert_guessed(found, odds, (*web_page.CLASSES, 'output 5'))
  difference = np.abs(pixels_of(found) - pixels)
  assert difference.max() <= 1
  assert (difference > 0).mean() <= off


def assert_guessed(found, odds, names):
  best = np.argsort(-odds, kind='stable')[:5]
  assert [name for name, _, _ in found['guesses']] == [names[i] for i in best]
  shares = [share for _, share, _ in found['guesses']]
  np.testing.assert_allclose(shares, odds[best], atol=1e-3)
  said = [text for _, _, text in found['guesses']]
  assert said == [f'{100 * share:.1f} %' for share in shares]


def test_the_page_says_what_python_does(visit, site, photographs, expected):
  page = visit()
  page.set_input_files('#images', photographs)
  for name, (pixels, odds) in expected.items():
    page.set_input_files('#network', site / f'{name}.onnx')
    wait(page, 'Images classified: 4. Failed: 0.')
    assert page.inner_text('#about') == 'tiny, 64×64 pixels, 6 classes'
    for i, found in enumerate(results(page)):
      assert found['name'] == photographs[i].name
      assert found['state'].startswith('Prepared in ')
      # As TensorFlow, which adds its float32 in another order.
      off = 1e-3 if name == 'squash_area' else 0.0
      assert_same(found, pixels[i], odds[i], off)


def test_answers_of_the_network_before_do_not_count(
  visit, site, photographs, expected
):
  page = visit()
  page.evaluate("""() => {
    const status = document.getElementById('status');
    const note = () => {
      if (window.seen || !status.textContent.includes('classified:')) return;
      const shares = document.querySelectorAll('article data');
      window.seen = Array.from(shares, (share) => Number(share.value));
    };
    new MutationObserver(note).observe(status, {childList: true});
  }""")
  page.set_input_files('#images', photographs)
  page.set_input_files('#network', site / 'grey.onnx')
  wait(page, 'Images classified: 4. Failed: 0.')
  best = -np.sort(-expected['grey'][1], axis=1)[:, :5]
  seen = np.reshape(page.evaluate('window.seen'), best.shape)
  np.testing.assert_allclose(seen, best, atol=1e-3)


def test_the_network_that_make_train_makes(visit, digits):
  page = visit('?model=digits.onnx')
  page.set_input_files('#images', list(digits))
  wait(page, 'Images classified: 23. Failed: 0.')
  assert page.inner_text('#about') == 'inception_v3, 16×16 pixels, 10 classes'
  for found, path in zip(results(page), digits, strict=True):
    assert found['name'] == path.name
    pixels, odds = digits[path]
    assert_guessed(found, odds, pictures.DIGITS)
    np.testing.assert_array_equal(pixels_of(found), pixels)


def test_broken_images_are_named_and_the_others_served(
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
  assert first['guesses'] == third['guesses'] == []
  assert_same(second, *(x[0] for x in expected['network']))


def test_dropped_files_another_network_among_them(
  visit, site, photographs, expected
):
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
  # The newest first; the one from before, by the network of now.
  for found, i in zip(results(page), (0, 2), strict=True):
    assert_same(found, *(x[i] for x in expected['bicubic']))


def test_pictures_from_the_camera(visit):
  page = visit()
  page.click('#open-camera')
  page.click('#take')
  wait(page, 'Images classified: 1. Failed: 0.')
  (found,) = results(page)
  assert found['name'].startswith('Camera, ')
  assert len(np.unique(pixels_of(found))) > 2
  assert sum(share for _, share, _ in found['guesses']) > 0.5
  page.click('#close-camera')
  assert page.is_hidden('video')
  assert page.is_visible('#open-camera')


def test_strange_networks_are_refused_in_words(chromium, address, site):
  missing = f'{address}?model=missing.onnx'
  with browser.tab(chromium, missing, 360) as seen:
    said = seen.page.locator('#about.bad')
    said.filter(has_text=f'No network at {address}missing.onnx').wait_for()
    for name, text in web_page.STRANGE.items():
      seen.page.set_input_files('#network', site / name)
      said.filter(has_text=text).wait_for()
      assert browser.overflow(seen.page) == 0
  assert [line for line in seen.console if '404' not in line] == []


def test_an_image_waits_for_a_network(visit, site, photographs, expected):
  page = visit('?model=none.onnx')
  page.set_input_files('#images', photographs[0])
  wait(page, 'Images classified: 0. Failed: 1.')
  assert results(page)[0]['state'] == 'There is no network to classify it.'
  page.set_input_files('#network', site / 'short.onnx')
  wait(page, 'Images classified: 1. Failed: 0.')
  assert_same(results(page)[0], *(x[0] for x in expected['short']))


def test_nothing_leaves_the_browser(chromium, address, tmp_path):
  fetch = 'url => fetch(url, {mode: "no-cors"}).then(() => 1, () => 0)'
  with web_page.served(tmp_path) as elsewhere:
    with browser.tab(chromium, f'{address}?model={elsewhere}x', 360) as seen:
      text = 'The network must come from this server'
      seen.page.locator('#about.bad', has_text=text).wait_for()
    with browser.tab(chromium, address, 360) as seen:
      wait(seen.page, 'Ready')
      places = [seen.page, *seen.page.workers]
      assert len(places) == 2
      for place in places:
        assert place.evaluate(fetch, address) == 1
        assert place.evaluate(fetch, elsewhere) == 0
  assert len(seen.console) == 2
  assert all('Content Security Policy' in line for line in seen.console)


@pytest.mark.parametrize(
  ('width', 'scheme', 'darkest'), [(360, 'dark', 0), (1280, 'light', 200)]
)
def test_it_fits_the_screen_and_its_colours(
  visit, photographs, width, scheme, darkest
):
  page = visit(width=width, color_scheme=scheme)
  page.set_input_files('#images', photographs)
  wait(page, 'Images classified: 4. Failed: 0.')
  page.click('#open-camera')
  page.locator('#take:enabled').wait_for()
  assert browser.overflow(page) == 0
  ground = page.evaluate('getComputedStyle(document.body).backgroundColor')
  levels = [int(x) for x in ground[4:-1].split(',')]
  assert darkest <= min(levels) <= max(levels) <= darkest + 55


def test_in_chinese_by_the_keyboard(visit, photographs):
  page = visit(locale='zh-CN')
  # At once: Playwright does not wait until it hears of them.
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


def test_both_languages_say_the_same(visit):
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

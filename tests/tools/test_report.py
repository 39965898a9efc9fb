"""The command tools.report, with its page in a browser."""

import base64
import collections
import html
import io
import json
import pathlib
import re
import signal

from etils import epath
import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from inception_jax.data import decode
from inception_jax.models import card
from inception_jax.runtime import metrics_file
from tests.support import browser
from tests.support import commands
from tests.support import runs
from tests.support.commands import tool


@pytest.mark.slow
def test_page_fits_the_screen_and_is_legible_in_both_modes(reported):
  page = (reported[0][0] / 'report' / 'index.html').as_uri()
  brightness = 'e => getComputedStyle(e).fill.match(/\\d+/g).map(Number)'
  with browser.chromium() as opened:
    for width, mode in ((360, 'dark'), (390, 'light'), (1280, 'dark')):
      with browser.tab(opened, page, width, color_scheme=mode) as seen:
        assert browser.overflow(seen.page) == 0
        title = seen.page.locator('figure svg text', has_text='Loss').first
        levels = title.evaluate(brightness)
      assert (min(levels) > 200) if mode == 'dark' else (max(levels) < 50)
      assert seen.console == []


@pytest.mark.slow
def test_classes_are_sorted_and_filtered(reported):
  page = reported[0][0] / 'report' / 'index.html'
  with browser.visit(page, 1280) as seen:
    table = seen.page.locator('input.filter + div table')
    names = lambda: table.locator('tbody tr:visible td:first-child')
    for heading, column, is_number in (('class', 0, False), ('top-1', 2, True)):
      for direction in ('ascending', 'descending'):
        table.get_by_role('button', name=heading, exact=True).click()
        cells = table.locator(f'tbody td:nth-child({column + 1})')
        found = [text.strip() for text in cells.all_inner_texts()]
        if is_number:
          found = [float(text.split()[0]) for text in found]
          expected = sorted(found, reverse=direction == 'descending')
          assert found == expected
        marked = table.locator(f'th[aria-sort={direction}]')
        assert marked.count() == 1
    seen.page.locator('input.filter').fill('DOG')
    assert names().all_inner_texts() == ['狗 & dog']
  assert seen.console == []


@pytest.mark.slow
def test_page_shows_scores_mistakes_and_confusions(reported):
  (workdir, _), (result, _) = reported
  page = workdir / 'report' / 'index.html'
  assert result['page'] == str(page)
  # The page loads nothing from elsewhere.
  assert not re.search(r'(src|href)=["\'](?!data:|#)', page.read_text())
  with browser.visit(page, 1280) as seen:
    dom = seen.page.content()
  assert seen.console == []
  text = html.unescape(re.sub(r'<[^>]*>', ' ', dom.partition('<body')[2]))
  assert re.search(r'over all starts: goodput [\d.]+ % of ', text)
  last = runs.metrics(workdir)[-1]
  for expected in (
    f'{100 * last["top1"]:.2f} %',
    f'{100 * last["top5"]:.2f} %',
    f'{100 * last["balanced_accuracy"]:.2f} %  mean top-1 of the classes',
    f'{last["loss"]:.4f}',
    *runs.CLASSES,
    'Loss',
    'Top-1 accuracy',
    'Learning rate',
    'Throughput',
    'images per second',
    'true label',
    'tiniest on folder',
    'Confusion matrix',
    'Worst mistakes',
    'What the network sees',
    'data.source',
    'jax',
    '8 × cpu',
  ):
    assert expected in text, expected
  cell = f'<td>{html.escape(runs.CLASSES[0])}</td>'
  assert dom.count(cell) >= 2  # escaped in each table
  wrong = round((1 - last['top1']) * last['count'])
  assert dom.count('class="mistake"') == wrong > 0
  # The highest loss first, each with the network's input.
  assert dom.count('class="mistake seen"') == 8  # the batch
  shown = re.findall(
    r'<img src="data:image/png;base64,(.*?)" alt="(.*?)"',
    dom.partition('Worst mistakes')[2],
  )
  predictions = runs.predictions(workdir / 'report')
  mistakes = [x for x in predictions if x['top1'] == '0']
  mistakes.sort(key=lambda line: -float(line['loss']))
  assert [html.unescape(alt) for _, alt in shown] == [
    f'{line["image"]}, {line["label"]}' for line in mistakes
  ]
  data = card.to_config(card.Card(16, crop_fraction=1.0))
  for (picture, _), line in zip(shown, mistakes, strict=True):
    with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
      found = np.asarray(image)
    encoded = tf.constant(pathlib.Path(line['image']).read_bytes())
    np.testing.assert_array_equal(found, decode.eval_image(encoded, data))
  # The confusions are counted as in the predictions.
  pairs = collections.Counter((x['label'], x['class_1']) for x in mistakes)
  _, _, table = dom.partition('Most frequent confusions')
  rows = re.findall(
    r'<tr><td>(.*?)</td><td>(.*?)</td>\s*<td class="n">(\d+)</td>',
    table.partition('</table>')[0],
  )
  assert {
    (html.unescape(a), html.unescape(b)): int(n) for a, b, n in rows
  } == pairs


def test_figures_and_predictions_are_files(reported):
  (workdir, _), (result, _) = reported
  report = workdir / 'report'
  names = {path.name for path in report.iterdir()}
  assert names == {
    'index.html',
    'predictions.csv',
    'evaluation.json',
    *result['figures'],
  }
  assert len(result['figures']) == 5
  for name in result['figures']:
    with Image.open(report / name) as image:
      assert len(np.unique(np.asarray(image.convert('L')))) > 20
  last = runs.metrics(workdir)[-1]
  scores = result['runs'][workdir.name]
  assert scores == {key: last[key] for key in scores}


@pytest.mark.slow
def test_page_of_several_runs(reported, tmp_path):
  workdirs, _ = reported
  flags = [f'--workdir={workdir}' for workdir in workdirs]
  output = tmp_path / 'both'
  flags += ['--noevaluate', '--price_per_hour=10 USD']
  done = tool('report', *flags, f'--output={output}')
  assert done.returncode == 0, done.stderr
  with browser.visit(output / 'index.html', 800) as seen:
    dom = seen.page.content()
  assert seen.console == []
  rows = re.findall(r'<tr><td>(run\d)</td>(.*?)</tr>', dom, re.DOTALL)
  assert [name for name, _ in rows] == ['run0', 'run1']
  for workdir, (_, row) in zip(workdirs, rows, strict=True):
    assert f'{100 * runs.metrics(workdir)[-1]["top1"]:.2f} %' in row
    hours, money = map(float, re.findall(r'>([\d.]+)</td>', row)[-2:])
    assert 0 < 10 * hours == pytest.approx(money, rel=0.1)
  assert 'run0, evaluation' in dom
  assert 'run1, training' in dom
  # The runs differ in the seed alone.
  _, _, differing = dom.partition('What differs in their configs')
  (row,) = re.findall(
    r'<tbody>\s*<tr>(.*?)</tr>\s*</tbody>', differing.partition('<h2>')[0]
  )
  assert re.findall('>([^<>]+)</td>', row) == ['seed', '0', '1']
  assert 'Confusion' not in dom


def take_interrupts():
  """Lets Ctrl-C interrupt, which background processes ignore."""
  signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.slow
def test_page_follows_a_run_that_has_not_saved_yet(workdirs, tmp_path):
  (tmp_path / 'config.json').symlink_to(workdirs[0] / 'config.json')
  args = f'--workdir={tmp_path}', '--serve', '--port=0', '--language=zh'
  serving = commands.start(
    *args,
    program=('-m', 'inception_jax.tools.report'),
    prepare=take_interrupts,
  )
  line = next(line for line in serving.stderr if 'http://' in line)
  address = re.search(r'http://127\.0\.0\.1:\d+/', line)[0]
  scores = {'loss': 0.25, 'top1': 0.5, 'top5': 1.0, 'count': 10}
  with browser.chromium() as opened, browser.tab(opened, address, 390) as seen:
    assert '这次训练尚未评估' in seen.page.content()
    path = epath.Path(tmp_path / 'metrics.jsonl')
    metrics_file.append(path, 7, 'eval', scores)
    seen.page.locator('.tile', has_text='0.2500').wait_for()
    assert seen.page.locator('svg text', has_text='损失').count() == 1
    assert browser.overflow(seen.page) == 0
  assert seen.console == []
  assert {url.removeprefix(address) for url in seen.requests} == {'', 'version'}
  serving.send_signal(signal.SIGINT)
  serving.communicate(timeout=60)
  assert serving.returncode == 130
  # Nothing was written beside what the run has.
  names = {path.name for path in tmp_path.iterdir()}
  assert names == {'config.json', 'metrics.jsonl'}


@pytest.mark.parametrize(
  ('args', 'faults'),
  [
    ([], ['expected one or more runs']),
    (['https://x/y'], ['not https://']),
    (['--price_per_hour=1.2'], ['its currency', 'expected one or more runs']),
    (['--serve', '--workdir={root}/none'], ['none has no config.json']),
    (['{root}/none'], ['no checkpoint in']),
    (
      ['{run}', '--workdir={root}/none'],
      ['no checkpoint in', '--output is missing'],
    ),
    (['--workdir={run}', '--output=/proc/x'], ['cannot be written']),
    (['--workdir={run}', '--checkpoint=5'], ['--checkpoint=5']),
  ],
)
def test_every_fault_is_reported(workdirs, tmp_path, args, faults):
  args = [arg.format(root=tmp_path, run=workdirs[0]) for arg in args]
  runs.check_faults(tool('report', *args), faults)
  assert not list(tmp_path.iterdir())


def test_missing_data_and_damaged_config_are_errors(workdirs, tmp_path):
  config = json.loads((workdirs[0] / 'config.json').read_text())
  config['data']['dir'] = str(tmp_path / 'gone')
  moved = tmp_path / 'moved'
  moved.mkdir()
  (moved / 'config.json').write_text(json.dumps(config))
  (moved / 'checkpoints').symlink_to(workdirs[0] / 'checkpoints')
  done = tool('report', f'--workdir={moved}')
  assert done.returncode == 2
  assert 'gone' in done.stderr
  assert not (moved / 'report').exists()
  for content, fault in (
    ('{"seed": "x"}', 'seed='),
    ('{"sauce": {"x": 1}}', ''),
    ('[' * 100_000, 'nested too deeply'),
    ('{"a":' * 900 + '1' + '}' * 900, 'nested too deeply'),
  ):
    (moved / 'config.json').write_text(content)
    done = tool('report', f'--workdir={moved}')
    assert done.returncode == 2
    assert f'config.json cannot be read: {fault}' in done.stderr
    assert len(done.stderr.splitlines()) == 1

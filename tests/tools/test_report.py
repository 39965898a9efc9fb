"""The page on a run, in a browser; tables of runs."""

import base64
import collections
import csv
import html
import io
import json
import pathlib
import re

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from inception_jax.data import decode
from inception_jax.models import card
from inception_jax.report import figures
from inception_jax.report import intervals
from inception_jax.report import page as page_lib
from inception_jax.training import loop
from tests.conftest import tiniest_config
from tests.support import browser
from tests.support.commands import tool

# Names that are text, whatever they look like.
CLASSES = ('<b>cat<b>', '狗 & dog', 'a$b$ {{ c }}')


@pytest.fixture(scope='module')
def workdirs(tmp_path_factory, one_device):
  """Two runs that differ in the seed, on a folder of images."""
  root = tmp_path_factory.mktemp('report')
  rng = np.random.default_rng(0)
  for split, count in (('train', 24), ('val', 11)):
    for i in range(count):
      path = root / 'data' / split / CLASSES[i % 3] / f'{i:02}.png'
      path.parent.mkdir(parents=True, exist_ok=True)
      image = Image.fromarray(rng.integers(0, 256, (3, 3, 3), np.uint8))
      image.resize((30, 20)).save(path)
  found = []
  for seed in (0, 1):
    config = tiniest_config()
    config.seed = seed
    config.data.source, config.data.dir = 'folder', str(root / 'data')
    config.data.eval_split = 'val'
    config.batch_size = 8
    config.train_for = '6 steps'
    config.log_every = config.eval_every = '2 steps'
    found.append(root / f'run{seed}')
    loop.train(config, str(found[-1]), one_device)
  return found


@pytest.fixture(scope='module')
def reported(workdirs):
  results = []
  for workdir in workdirs:
    done = tool('report', f'--workdir={workdir}')
    assert done.returncode == 0, done.stderr
    results.append(json.loads(done.stdout.splitlines()[-1]))
  return workdirs, results


def metrics(workdir):
  text = (workdir / 'metrics.jsonl').read_text()
  return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize('width', [360, 1280])
def test_nothing_is_wider_than_the_screen(reported, width):
  page = reported[0][0] / 'report' / 'index.html'
  with browser.visit(page, width) as seen:
    assert browser.overflow(seen.page) == 0
  assert seen.console == []


def test_the_page_says_what_was_found(reported):
  (workdir, _), (result, _) = reported
  page = workdir / 'report' / 'index.html'
  assert result['page'] == str(page)
  # Nothing comes from elsewhere.
  assert not re.search(r'(src|href)=["\'](?!data:|#)', page.read_text())
  with browser.visit(page, 1280) as seen:
    dom = seen.page.content()
  assert seen.console == []
  text = html.unescape(re.sub(r'<[^>]*>', ' ', dom.partition('<body')[2]))
  last = metrics(workdir)[-1]
  for said in (
    f'{100 * last["top1"]:.2f} %',
    f'{100 * last["top5"]:.2f} %',
    f'{last["loss"]:.4f}',
    *CLASSES,
    'Loss',
    'Top-1 accuracy',
    'Learning rate',
    'Images per second',
    'Confusion matrix',
    'Worst mistakes',
    'data.source',
    'jax',
    '8 × cpu',
  ):
    assert said in text, said
  cell = f'<td>{html.escape(CLASSES[0])}</td>'
  assert dom.count(cell) >= 2  # as text in each table
  wrong = round((1 - last['top1']) * last['count'])
  assert dom.count('class="mistake"') == wrong > 0
  # The worst first, each with what the network saw of it.
  shown = re.findall(r'<img src="data:image/png;base64,(.*?)" alt="(.*?)"', dom)
  mistakes = [x for x in predictions(workdir) if x['top1'] == '0']
  mistakes.sort(key=lambda line: -float(line['loss']))
  assert [html.unescape(alt) for _, alt in shown] == [
    f'{line["image"]}, {line["label"]}' for line in mistakes
  ]
  data = card.data_of(card.Card(16, crop_fraction=1.0))
  for (picture, _), line in zip(shown, mistakes, strict=True):
    with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
      found = np.asarray(image)
    encoded = tf.constant(pathlib.Path(line['image']).read_bytes())
    np.testing.assert_array_equal(found, decode.eval_image(encoded, data))
  # And what was mistaken for what, as often as the predictions have it.
  pairs = collections.Counter((x['label'], x['class_1']) for x in mistakes)
  _, _, table = dom.partition('Taken for another most often')
  rows = re.findall(
    r'<tr><td>(.*?)</td><td>(.*?)</td>\s*<td class="n">(\d+)</td>',
    table.partition('</table>')[0],
  )
  assert {
    (html.unescape(a), html.unescape(b)): int(n) for a, b, n in rows
  } == pairs


def test_figures_and_predictions_lie_beside_it(reported):
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
  last = metrics(workdir)[-1]
  scores = result['runs'][workdir.name]
  assert scores == {key: last[key] for key in scores}


def test_several_runs_on_one_page(reported, tmp_path):
  workdirs, _ = reported
  flags = [f'--workdir={workdir}' for workdir in workdirs]
  output = tmp_path / 'both'
  done = tool('report', *flags, f'--output={output}', '--noevaluate')
  assert done.returncode == 0, done.stderr
  with browser.visit(output / 'index.html', 800) as seen:
    dom = seen.page.content()
  assert seen.console == []
  rows = re.findall(r'<tr><td>(run\d)</td>(.*?)</tr>', dom, re.DOTALL)
  assert [name for name, _ in rows] == ['run0', 'run1']
  for workdir, (_, row) in zip(workdirs, rows, strict=True):
    assert f'{100 * metrics(workdir)[-1]["top1"]:.2f} %' in row
  assert 'run0, eval' in dom
  assert 'run1, train' in dom
  assert 'Confusion' not in dom


@pytest.mark.parametrize(
  ('name', 'args', 'faults'),
  [
    ('report', [], ['--workdir is missing']),
    ('report', ['--workdir={root}/none'], ['no checkpoint in']),
    (
      'report',
      ['--workdir={run}', '--workdir={root}/none'],
      ['no checkpoint in', '--output is missing'],
    ),
    ('report', ['--workdir={run}', '--output=/proc/x'], ['cannot be written']),
    ('report', ['--workdir={run}', '--checkpoint=5'], ['--checkpoint=5']),
    ('compare', [], ['name a run']),
    ('compare', ['{root}/none', '{run}', '{root}/nix'], ['none', 'nix']),
  ],
)
def test_mistakes_end_in_a_line_each(workdirs, tmp_path, name, args, faults):
  args = [arg.format(root=tmp_path, run=workdirs[0]) for arg in args]
  done = tool(name, *args)
  errors = done.stderr.splitlines()
  assert done.returncode == 2, done.stderr
  assert [e for e in errors if e.startswith('error: ')] == errors
  for fault, error in zip(faults, errors, strict=True):
    assert fault in error
  assert not list(tmp_path.iterdir())


def test_a_report_on_data_that_have_gone(workdirs, tmp_path):
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
  (moved / 'config.json').write_text('{"seed": "x"}')
  done = tool('report', f'--workdir={moved}')
  assert done.returncode == 2
  assert 'config.json cannot be read: seed=' in done.stderr


def test_a_table_of_runs(reported, tmp_path):
  workdirs, _ = reported
  done = tool('compare', *map(str, workdirs))
  assert done.returncode == 0, done.stderr
  *table, line = done.stdout.splitlines()
  result = json.loads(line)
  last = [metrics(workdir)[-1] for workdir in workdirs]
  assert [row['top1'] for row in result['runs']] == [x['top1'] for x in last]
  assert [row['count'] for row in result['runs']] == [11, 11]
  right = [
    [line['top1'] == '1' for line in predictions(workdir)]
    for workdir in workdirs
  ]
  difference = result['runs'][1]['paired']['difference']
  assert difference == pytest.approx(np.mean(right[1]) - np.mean(right[0]))
  (group,) = result['groups']
  mean = np.mean([x['top1'] for x in last])
  assert group['top1_mean'] == pytest.approx(mean)
  assert len(table) == 4
  assert str(workdirs[0]) in table[1]
  assert table[3].startswith('2 seeds: top-1 ')
  # Without predictions there is nothing to pair.
  bare = tmp_path / 'bare'
  bare.mkdir()
  (bare / 'metrics.jsonl').write_bytes(
    (workdirs[0] / 'metrics.jsonl').read_bytes()
  )
  done = tool('compare', str(workdirs[0]), str(bare))
  assert 'paired' not in json.loads(done.stdout.splitlines()[-1])['runs'][1]


def predictions(workdir):
  with open(workdir / 'report' / 'predictions.csv', newline='') as file:
    return list(csv.DictReader(file))


def test_intervals_are_those_of_the_textbooks():
  # Newcombe 1998, table I: 81 of 263; Agresti 2002, section 10.1.1.
  low, high = intervals.wilson(81 / 263, 263)
  assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
  first = np.repeat([True, True, False, False], [794, 150, 86, 570])
  second = np.repeat([True, False, True, False], [794, 150, 86, 570])
  found = intervals.paired(first, second)
  assert round(found.difference, 3) == 0.040
  assert (round(found.low, 3), round(found.high, 3)) == (0.021, 0.059)
  assert found.p == pytest.approx(3.7e-5, rel=0.1)
  same = intervals.paired(first, first)
  assert same == (0.0, 0.0, 0.0, 1.0)


def test_calibration():
  sure = np.array([0.9, 0.9, 0.9, 0.9, 0.5, 0.5])
  right = np.array([True, True, True, False, True, False])
  # A bin of 0.9 that is right by 0.75, and one of 0.5 by 0.5.
  expected = 4 / 6 * 0.15
  assert intervals.calibration_error(sure, right) == pytest.approx(expected)


def test_a_page_on_a_run_of_an_older_version():
  run = page_lib.Run('r', 'inception_v3', 'digits', 'test', [('seed', 0)], {})
  text = page_lib.render('r', '2026-01-01', 'a machine', [run], [])
  assert 'trained on unknown devices.' in text
  assert 'No checkpoint of it has been evaluated yet.' in text


def test_a_loss_that_fell_far_is_drawn_by_its_logarithm():
  losses = [250.0, 30.0, 4.0, 0.5]
  lines = [
    {'step': i, 'split': split, 'loss': loss, 'top1': 0.5}
    for i, loss in enumerate(losses)
    for split in ('train', 'eval')
  ]
  loss, accuracy = figures.curves([('run', lines)])
  assert (loss.name, accuracy.name) == ('loss', 'accuracy')
  labels = re.findall(r'>([^<>]+)</text>', loss.svg)
  assert {'1', '10', '100'} <= set(labels)
  assert not any('$' in label for label in labels)

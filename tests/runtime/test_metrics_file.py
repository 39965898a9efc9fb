"""Damaged lines of metrics.jsonl."""

import json
import zlib

import pytest

from inception_jax.runtime import metrics_file

SCORES = {'loss': 0.5, 'top1': 0.25, 'top5': 1.0, 'count': 8}


@pytest.fixture
def path(tmp_path):
  path = tmp_path / 'metrics.jsonl'
  train = {'loss': 2.25, 'skipped': 0, 'images_per_sec': 9.5}
  for step in (1, 2, 3):
    metrics_file.append(path, step, 'train', train)
  metrics_file.append(path, 3, 'eval', {**SCORES, 'images_per_sec': None})
  return path


def test_a_line_is_json_with_a_checksum(path):
  line = json.loads(path.read_text().splitlines()[0])
  text = b'{"loss": 2.25, "skipped": 0, "split": "train", "step": 1}'
  assert line.pop('crc32') == f'{zlib.crc32(text):08x}'
  assert line == {
    'step': 1,
    'split': 'train',
    'loss': 2.25,
    'skipped': 0,
    'images_per_sec': 9.5,
  }


def test_a_repeated_step_has_the_same_checksum_at_another_speed(tmp_path):
  path = tmp_path / 'metrics.jsonl'
  speeds = ('images_per_sec', 'ms_per_step', 'sec_per_epoch', 'data_wait')
  for speed in (1.0, 2.0):
    train = {'loss': 2.25, **dict.fromkeys(speeds, speed)}
    metrics_file.append(path, 1, 'train', train)
    scores = {**SCORES, 'eval_images_per_sec': speed}
    metrics_file.append(path, 1, 'eval', scores)
  lines = [json.loads(line) for line in path.read_text().splitlines()]
  assert lines[0]['crc32'] == lines[2]['crc32']
  assert lines[1]['crc32'] == lines[3]['crc32']


def test_every_flipped_bit_is_found(path):
  sound = path.read_bytes()
  expected = metrics_file.parse(path)
  begin = sound.index(b'\n') + 1
  end = sound.index(b'\n', begin) + 1
  unchecked = range(
    sound.index(b' 9.5', begin), sound.index(b', "crc32"', begin)
  )
  for bit in range(8 * begin, 8 * end):
    damaged = bytearray(sound)
    damaged[bit // 8] ^= 1 << bit % 8
    path.write_bytes(damaged)
    found = metrics_file.parse(path)
    lost = expected.keys() - found.keys()
    assert found.keys() <= expected.keys()
    # The next line is lost, too, if the line break between them is.
    assert lost <= {(2, 'train'), (3, 'train')}
    if not lost:
      # Upper-case exponents and a digit of the speed.
      assert bit // 8 in unchecked, damaged[begin:end]
    assert all(found[k] == expected[k] for k in found if k != (2, 'train'))


@pytest.mark.parametrize(
  'line',
  [
    b'\xff\xfe',
    b'no JSON',
    b'[' * 100_000,
    b'9' * 5000,
    b'7',
    b'{}',
    b'{"step": 4}',
    b'{"step": "4", "split": "train"}',
    b'{"step": 4, "split": "train", "loss": "low"}',
    b'{"step": 4, "split": "train", "loss": [1]}',
    b'{"step": 4, "split": "eval", "loss": 1.0}',
    b'{"step": 4, "split": "train", "loss": 1.0, "crc32": "00000000"}',
    b'{"step": 4, "split": "train", "crc32": {}}',
    b'{"step": 4, "spl',
    # They would break the figures.
    b'{"step": 4, "split": "train", "loss": Infinity}',
    b'{"step": 4, "split": "train", "loss": NaN}',
    b'{"step": 4, "split": "train", "loss": -1.7e308}',
    b'{"step": 4, "split": "train", "count": 1%s}' % (400 * b'0'),
    b'{"step": 1%s, "split": "train"}' % (40 * b'0'),
  ],
)
def test_damaged_line_is_named_and_moved_aside(path, caplog, line):
  before = path.read_bytes()
  first, rest = before.split(b'\n', 1)
  path.write_bytes(first + b'\n' + line + b'\n' + rest + line)
  assert metrics_file.log_damage(path) == [2, 6]
  assert [x['step'] for x in metrics_file.read(path.parent)] == [1, 2, 3, 3]
  caplog.clear()
  metrics_file.repair(path, {})
  assert f'{path}, line 2, is damaged and moved to {path}.damaged' in (
    caplog.text
  )
  assert all(len(x.getMessage()) < 500 for x in caplog.records)
  assert path.read_bytes() == before
  aside = path.with_name('metrics.jsonl.damaged')
  assert aside.read_bytes() == 2 * (line + b'\n')
  # Lines are added to those of earlier damage.
  path.write_bytes(before + line)
  metrics_file.repair(path, {})
  assert aside.read_bytes() == 3 * (line + b'\n')
  assert path.read_bytes() == before


def test_scores_of_checkpoints_are_added(path):
  before = metrics_file.parse(path)
  lines = path.read_bytes().splitlines(keepends=True)
  path.write_bytes(b''.join([*lines[:3], lines[3].replace(b'0.5', b'0.7')]))
  assert (3, 'eval') not in metrics_file.parse(path)
  metrics_file.repair(path, {2: {}, 3: {**SCORES, 'images_per_sec': None}})
  assert metrics_file.parse(path) == before
  # Once only.
  written = path.read_bytes()
  metrics_file.repair(path, {2: {}, 3: SCORES})
  assert path.read_bytes() == written


def test_lines_of_earlier_versions_have_no_checksum(path):
  with path.open('a') as file:
    file.write('{"step": 4, "split": "eval_raw", "loss": null}\n')
  assert metrics_file.log_damage(path) == []
  assert metrics_file.read(path.parent)[-1]['step'] == 4


def test_many_damaged_lines_do_not_flood_the_log(path, caplog):
  path.write_bytes(b'x' * 10**6 + b'\n' + b'\x1b\n' * 10_000)
  metrics_file.repair(path, {})
  assert len(caplog.records) < 50 and len(caplog.text) < 20_000
  assert not path.read_bytes()


def test_nothing_is_written_without_need(tmp_path):
  metrics_file.repair(tmp_path / 'metrics.jsonl', {5: {}})
  assert not list(tmp_path.iterdir())

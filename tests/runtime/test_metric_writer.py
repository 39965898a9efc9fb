"""Lines of metrics.jsonl."""

import json

import pytest

from inception_jax.errors import RunError
from inception_jax.runtime import metric_writer
from inception_jax.runtime import metrics_file
from tests.support.checkpoints import file_size_limit


def test_lines_are_complete_and_written_once(tmp_path):
  with metric_writer.MetricWriter(tmp_path) as first:
    first.write(1, 'train', {'loss': 1.0})
    first.write(2, 'train', {'loss': 2.0})
  path = tmp_path / 'metrics.jsonl'
  # A killed process left a partial line.
  path.write_text(path.read_text() + '{"step": 3, "spl')
  metrics_file.repair(path, {})
  with metric_writer.MetricWriter(tmp_path) as second:
    second.write(2, 'train', {'loss': 2.0})
    second.write(2, 'eval', {'loss': 5.0})
    second.write(3, 'train', {'loss': 3.0})
  lines = [json.loads(line) for line in path.read_text().splitlines()]
  assert [(x['step'], x['split']) for x in lines] == [
    (1, 'train'),
    (2, 'train'),
    (2, 'eval'),
    (3, 'train'),
  ]
  # A changed config gives other numbers, which are written.
  with metric_writer.MetricWriter(tmp_path, skip_written=False) as third:
    third.write(3, 'train', {'loss': 4.0})
  assert len(path.read_text().splitlines()) == 5


def test_a_full_disk_is_one_line_from_tensorboard_too(tmp_path, capfd):
  with file_size_limit(4096), pytest.raises(RunError) as caught:
    with metric_writer.MetricWriter(tmp_path) as writer:
      for step in range(200):
        writer.write_scalars(step, 'train', {'loss': 1.0})
  (line,) = str(caught.value).splitlines()
  assert line.startswith('TensorBoard events cannot be written: ')
  assert 'File too large' in line and '{{' not in line
  assert capfd.readouterr().err == ''

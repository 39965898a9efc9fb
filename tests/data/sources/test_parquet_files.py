"""Row groups are read once an epoch, and their images are mixed."""

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from inception_jax.data.sources import parquet_files

SIZE, ROWS, WINDOW = 4000, 25, 500


def groups_of():
  count = SIZE // ROWS
  return parquet_files.Groups(
    np.zeros(count, np.int64), np.arange(count), np.arange(count + 1) * ROWS
  )


def test_order():
  records = np.arange(SIZE)
  order = lambda *seed: parquet_files.order(
    groups_of(), records, WINDOW, np.array(seed)
  )
  first = order(0, 1)
  np.testing.assert_array_equal(first, order(0, 1))
  for other in (order(0, 2), order(1, 1), np.arange(SIZE)):
    assert (first == other).mean() < 0.01
  np.testing.assert_array_equal(np.sort(first), records)
  # Groups are shuffled. A group's images are within the window, and rarely
  # side by side.
  places = np.argsort(first).reshape(-1, ROWS)
  assert abs(np.corrcoef(places.mean(1), range(len(places)))[0, 1]) < 0.3
  spans = places.max(1) - places.min(1)
  assert np.median(spans) > 0.85 * WINDOW
  assert spans.max() < 1.3 * WINDOW
  assert (np.diff(first // ROWS) == 0).mean() < 0.1
  part = parquet_files.order(
    groups_of(), records[::3], WINDOW, np.array([0, 1])
  )
  np.testing.assert_array_equal(np.sort(part), records[::3])


def test_each_group_is_read_about_once(tmp_path):
  path = str(tmp_path / 'train.parquet')
  table = pa.table({'image': [b'%d' % i for i in range(SIZE)]})
  parquet.write_table(table, path, row_group_size=ROWS)
  groups = groups_of()
  kept = parquet_files.num_kept(groups, WINDOW)
  reader = parquet_files.Reader([path], 'image', groups, kept)
  order = parquet_files.order(groups, np.arange(SIZE), WINDOW, [3, 4])
  for record in order:
    assert reader(record) == (b'%d' % record, None)
  assert reader.reads <= 1.02 * SIZE / ROWS
  assert kept < 1.5 * WINDOW / ROWS

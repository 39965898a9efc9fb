"""The limits and the ledger of `make compile-check`."""

import json

from tests.system import compile_check


def test_memory_and_collectives_over_the_limits_are_faults():
  result = {
    'hbm_share': 0.99,
    'batch_norm': 'replica',
    'collectives': {'all-reduce': {'count': 3, 'bytes': 0}},
  }
  assert compile_check.faults(result) == []
  assert compile_check.faults({**result, 'collectives': {}}) == []
  (fault,) = compile_check.faults({**result, 'hbm_share': 1.01})
  assert 'needs 101% of a chip' in fault
  result['collectives'] = {'all-reduce': {'count': 4, 'bytes': 0}}
  (fault,) = compile_check.faults(result)
  assert '4 all-reduces' in fault
  assert compile_check.faults({**result, 'batch_norm': 'global'}) == []
  result['collectives'] = {'all-gather': {'count': 2, 'bytes': 3e6}}
  for result['batch_norm'] in ('global', 'replica'):
    (fault,) = compile_check.faults(result)
    assert '2 × all-gather of 3.0 MB' in fault


def test_ledger_has_imagenet_recipes_without_faults():
  assert 'inception_v4' in compile_check.imagenet_recipes()
  assert 'mindspore_inception_v4_cpu' not in compile_check.imagenet_recipes()
  rows = compile_check.latest_rows()
  assert {compile_check.recipe_name(row) for row in rows} <= set(
    compile_check.imagenet_recipes()
  )
  for row in rows:
    cells = compile_check.table_row(row).strip('| ').split(' | ')
    assert len(cells) == len(compile_check._COLUMNS)
    found = compile_check.faults(
      {
        'hbm_share': float(row['hbm_share']),
        'batch_norm': row['batch_norm'],
        'collectives': json.loads(row['collectives']),
      }
    )
    assert not found

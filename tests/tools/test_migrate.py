"""The command tools.migrate."""

import json

from tests.support import commands

PROGRAM = ('-m', 'inception_jax.tools.migrate')
# The shape of MindSpore's files: values, then descriptions.
MINDSPORE = """
# of the network
epoch_size: 3
lr_max: 0.5
opt_eps: 1.0
batch_size: 8
work_nums: 8
---
epoch_size: 'epochs to train for'
"""


def test_a_recipe_is_written_and_main_reads_it(tmp_path):
  (tmp_path / 'my-config.yaml').write_text(MINDSPORE)
  args = ('my-config.yaml', '--num_devices=2')
  done = commands.run(*args, program=PROGRAM, cwd=tmp_path)
  assert done.returncode == 0, done.stderr
  result = json.loads(done.stdout)
  assert result['recipe'] == 'my-config.py' and result['refused'] == {}
  assert result['without_counterpart'].keys() == {'work_nums'}
  assert result['mapped']['schedule.learning_rate'] == 0.5
  # The batch of 16 is the recipe's: three devices cannot share it.
  done = commands.run(
    f'--config={tmp_path}/my-config.py',
    f'--workdir={tmp_path}/run',
    f'--config.data.dir={tmp_path}',
    '--config.train_for=x',
    devices=3,
  )
  assert done.returncode == 2
  assert "train_for='x'" in done.stderr and 'batch_size=16' in done.stderr
  # It is not overwritten.
  done = commands.run(*args, program=PROGRAM, cwd=tmp_path)
  assert done.returncode == 2
  assert done.stderr == (
    'error: my-config.py exists; name another file by --output\n'
  )


def test_what_is_refused_is_said_and_the_status_is_1(tmp_path):
  (tmp_path / 'x.yaml').write_text(MINDSPORE.replace('work_nums', 'wrk_nums'))
  done = commands.run(
    *('x.yaml', '--output=y.py'), program=PROGRAM, cwd=tmp_path
  )
  assert done.returncode == 1
  assert json.loads(done.stdout)['refused'].keys() == {'wrk_nums'}
  assert 'refused: wrk_nums: 8: not a key' in done.stderr
  assert 'if there were eight: --num_devices=8' in done.stderr
  assert 'wrk_nums: 8: not a key' in (tmp_path / 'y.py').read_text()


def test_what_no_recipe_could_be_is_a_line_and_leaves_no_file(tmp_path):
  for text, line in (
    ('a: 1', 'x.yaml is neither a config of MindSpore'),
    (MINDSPORE.replace('lr_max: 0.5', 'lr_max: 0'), 'schedule.learning_rate=0'),
    (MINDSPORE.replace('epoch_size: 3', 'epoch_size: 0'), 'train_for='),
  ):
    (tmp_path / 'x.yaml').write_text(text)
    done = commands.run('x.yaml', program=PROGRAM, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.startswith(f'error: {line}')
  for args in ((), ('x.yaml', 'x.yaml'), ('none.yaml',)):
    done = commands.run(*args, program=PROGRAM, cwd=tmp_path)
    assert done.returncode == 2
  assert [path.name for path in tmp_path.iterdir()] == ['x.yaml']

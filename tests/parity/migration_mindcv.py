"""Rows of MindCV; see migration.py."""

from tests.parity.migration_checks import FOLDER
from tests.parity.migration_checks import FULL
from tests.parity.migration_checks import LIKE_PROGRAM
from tests.parity.migration_checks import MIGRATED
from tests.parity.migration_checks import REFUSED
from tests.parity.migration_checks import TRAINED
from tests.parity.migration_checks import agreement
from tests.parity.migration_checks import evaluated_by_mindspore
from tests.parity.migration_checks import like_numbers
from tests.parity.migration_checks import make_ckpt
from tests.parity.migration_checks import migrated
from tests.parity.migration_checks import predicted
from tests.parity.migration_checks import refused
from tests.parity.migration_checks import trained
from tests.parity.migration_checks import yaml_of
from tests.parity.migration_rows import IMAGENET
from tests.parity.migration_rows import STEPS
from tests.parity.migration_rows import Bench
from tests.parity.migration_rows import Done
from tests.parity.migration_rows import Row
from tests.parity.migration_rows import remove

_MINDCV = (
  'main.py --config=mindcv_inception_v3 --mode=eval '
  '--checkpoint=./inception_v3.ckpt'
)


def _predicted(bench: Bench, done: Done) -> dict:
  found = [x['classes'][0]['class'] for x in done.result['predictions']]
  return agreement(found, predicted(bench, 'predictions/lists'), 0.99)


ROWS = (
  Row(
    'MindCV',
    ('`inception_v3_ascend.yaml`', '`inception_v3_ascend.yaml`'),
    'tools.migrate inception_v3_ascend.yaml --num_devices=8 --output=my_v3.py',
    migrated,
    MIGRATED,
    before=yaml_of('mindcv/configs/inceptionv3/inception_v3_ascend.yaml'),
  ),
  Row(
    'MindCV',
    (
      'training by it; `val_while_train`, `ema`',
      '按它训练；`val_while_train`、`ema`',
    ),
    'main.py --config=my_v3.py --workdir=runs/mindcv '
    '--config.data.dir=imagenet --config.ema_decay=0.9',
    trained,
    TRAINED,
    (*IMAGENET, *STEPS),
    lambda bench: remove(bench, 'runs/mindcv'),
  ),
  Row(
    'MindCV',
    ('`validate.py` with a `.ckpt`', '`validate.py`，`.ckpt` 权重'),
    f'{_MINDCV} {FOLDER} --output=predictions/mindcv',
    like_numbers('predictions/mindcv', 'inception_v3.json', 'MindCV', 0.98),
    LIKE_PROGRAM,
    FULL,
    make_ckpt('mindcv_inception_v3', 'inception_v3'),
  ),
  Row(
    'MindCV',
    ('`.ckpt` for MindCV', '供 MindCV 使用的 `.ckpt`'),
    'tools.export --checkpoint=./inception_v3.ckpt --format=mindcv '
    '--output=back.ckpt',
    evaluated_by_mindspore(
      'back.ckpt', 'mindcv_inception_v3', 'inception_v3.json'
    ),
    (
      '{same} of {count} predictions in MindCV as before',
      'MindCV 中 {count} 个预测有 {same} 个与之前相同',
    ),
    before=lambda bench: remove(bench, 'back.ckpt'),
  ),
  Row(
    'MindCV',
    ('fine-tuning of a `.ckpt`', '微调 `.ckpt`'),
    'main.py --config=fine_tune_folder --workdir=runs/tuned '
    '--config.fine_tune.checkpoint=./inception_v3.ckpt '
    '--config.data.dir=imagenet --config.data.eval_split=val',
    trained,
    TRAINED,
    ('--config.data.image_size=139', '--config.batch_size=20', *STEPS),
    lambda bench: remove(bench, 'runs/tuned'),
  ),
  Row(
    'MindCV',
    ('`infer.py`', '`infer.py`'),
    'tools.predict --workdir=runs/v3 --json imagenet/val',
    _predicted,
    (
      '{same} of {count} predictions as by `--mode=eval`',
      '{count} 个预测中 {same} 个与 `--mode=eval` 相同',
    ),
  ),
  Row(
    'MindCV',
    ('flags', '选项'),
    'main.py --config=mindcv_inception_v3 --amp_level=O2 '
    '--num_parallel_workers=8 --ckpt_path=v3.ckpt --epoch_size=200',
    refused(4, '--config.data.workers=8'),
    REFUSED,
    status=2,
  ),
)

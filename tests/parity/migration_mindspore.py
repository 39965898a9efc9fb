"""Rows of MindSpore; see migration.py."""

import json

from tests.parity.migration_checks import EXPORTED
from tests.parity.migration_checks import FOLDER
from tests.parity.migration_checks import FULL
from tests.parity.migration_checks import LIKE_PROGRAM
from tests.parity.migration_checks import MIGRATED
from tests.parity.migration_checks import PHOTOS
from tests.parity.migration_checks import REFUSED
from tests.parity.migration_checks import TRAINED
from tests.parity.migration_checks import agreement
from tests.parity.migration_checks import evaluated_by_mindspore
from tests.parity.migration_checks import exported
from tests.parity.migration_checks import like_numbers
from tests.parity.migration_checks import make_ckpt
from tests.parity.migration_checks import migrated
from tests.parity.migration_checks import refused
from tests.parity.migration_checks import trained
from tests.parity.migration_checks import yaml_of
from tests.parity.migration_rows import IMAGENET
from tests.parity.migration_rows import STEPS
from tests.parity.migration_rows import Bench
from tests.parity.migration_rows import Done
from tests.parity.migration_rows import Row
from tests.parity.migration_rows import expect
from tests.parity.migration_rows import remove
from tests.support import commands
from tests.support import pages

_V4 = 'main.py --config=my_v4.py --workdir=runs/v4 --config.data.dir=imagenet'


def _mindrecord(bench: Bench) -> None:
  """Writes MindRecord files, and runs the page's program on them."""
  remove(bench, 'DATA')
  bench.mindspore_program('mindrecord', '--images=imagenet')
  page = (commands.ROOT / 'docs/migration.md').read_text()
  (program,) = (code for kind, code in pages.blocks(page) if kind == 'python')
  bench.program(bench.mindspore, '-c', program, env=bench.environment)


def _classified(bench: Bench, done: Done) -> dict:
  expect(done.result['images'], PHOTOS, 'images')
  lines = map(json.loads, done.stdout.splitlines())
  first = [x['classes'][0]['class'] for x in lines if 'classes' in x]
  numbers = bench.numbers('inceptionv4.json')
  return agreement(first, [f'output {number}' for number in numbers], 0.98)


def _profiled(bench: Bench, done: Done) -> dict:
  traces = list(
    (bench.folder / 'runs/v4').glob('plugins/profile/*/*.xplane.pb')
  )
  expect(len(traces), 1, 'traces')
  return {'last': done.result['step']}


def _converted(bench: Bench, done: Done) -> dict:
  splits = done.result['splits']
  expect(splits, {'train': PHOTOS, 'validation': PHOTOS}, 'images')
  return {**splits, 'classes': done.result['classes']}


def _kept(bench: Bench, done: Done) -> dict:
  facts = trained(bench, done)
  folder = bench.folder / 'runs/v4/checkpoints'
  kept = sorted(int(x.name) for x in folder.iterdir() if x.name.isdecimal())
  expect(kept, [15, 20], 'checkpoints')
  return facts


ROWS = (
  Row(
    'MindSpore',
    ('`default_config_gpu.yaml` of v4', 'v4 的 `default_config_gpu.yaml`'),
    'tools.migrate default_config_gpu.yaml --num_devices=8 --output=my_v4.py',
    migrated,
    MIGRATED,
    before=yaml_of(
      'models/official/cv/Inception/inceptionv4/default_config_gpu.yaml'
    ),
  ),
  Row(
    'MindSpore',
    (
      'training by it; `keep_checkpoint_max`',
      '按它训练；`keep_checkpoint_max`',
    ),
    f"{_V4} --config.checkpoint_every='5 steps' --config.checkpoint_keep=2",
    _kept,
    TRAINED,
    (*IMAGENET, *STEPS),
    lambda bench: remove(bench, 'runs/v4'),
  ),
  Row(
    'MindSpore',
    ('`enable_profiling`', '`enable_profiling`'),
    f"{_V4} --config.train_for='25 steps' --config.profile='2 steps'",
    _profiled,
    (
      'a trace for Perfetto, until step {last}',
      '供 Perfetto 使用的跟踪，到第 {last} 步',
    ),
    (*IMAGENET, *STEPS[1:], '--config.profile_from=2 steps'),
  ),
  Row(
    'MindSpore',
    ('summaries', '汇总图表'),
    'tools.report --workdir=runs/v4',
    lambda bench, done: {
      'size': len((bench.folder / 'runs/v4/report/index.html').read_bytes())
      // 1000
    },
    (
      'a page of {size} kB with curves and mistakes',
      '一页 {size} kB，含曲线与错误',
    ),
  ),
  Row(
    'MindSpore',
    ('`eval.py` with a `.ckpt` of v4', '`eval.py`，v4 的 `.ckpt`'),
    'main.py --config=mindspore_inception_v4 --mode=eval '
    f'--checkpoint=./inceptionv4.ckpt {FOLDER} --output=predictions/v4',
    like_numbers('predictions/v4', 'inceptionv4.json', 'MindSpore', 0.98),
    LIKE_PROGRAM,
    FULL,
    make_ckpt('inceptionv4', 'inceptionv4'),
  ),
  Row(
    'MindSpore',
    ('the `.ckpt` as a checkpoint', '`.ckpt` 转为检查点'),
    'tools.import_weights --weights=inceptionv4.ckpt --output=runs/imported',
    lambda bench, done: done.result,
    (
      '{parameters:,} parameters of {origin}',
      '{origin} 的 {parameters:,} 个参数',
    ),
    before=lambda bench: remove(bench, 'runs/imported'),
  ),
  Row(
    'MindSpore',
    ('MINDIR, run in MindSpore', 'MINDIR，在 MindSpore 中运行'),
    'tools.export --workdir=runs/imported --format=mindir --output=v4.mindir '
    '--image_size=139',
    evaluated_by_mindspore('v4.mindir', 'inceptionv4', 'inceptionv4.json'),
    (
      f'{EXPORTED[0]}; {{same}} of {{count}} predictions as the `.ckpt`',
      f'{EXPORTED[1]}；{{count}} 个预测中 {{same}} 个与 `.ckpt` 相同',
    ),
    before=lambda bench: remove(bench, 'v4.mindir'),
  ),
  Row(
    'MindSpore',
    ('AIR, finished on Ascend', 'AIR，在 Ascend 上完成'),
    'tools.export --workdir=runs/imported --format=air --output=v4-air',
    lambda bench, done: {
      'files': ', '.join(
        f'`{x.name}`' for x in sorted((bench.folder / 'v4-air').iterdir())
      )
    },
    ('{files}', '{files}'),
    before=lambda bench: remove(bench, 'v4-air'),
  ),
  Row(
    'MindSpore',
    ('SavedModel for C++', '供 C++ 使用的 SavedModel'),
    'tools.export --workdir=runs/imported --format=savedmodel '
    '--output=v4-saved --image_size=139',
    exported,
    EXPORTED,
    before=lambda bench: remove(bench, 'v4-saved'),
  ),
  Row(
    'MindSpore',
    ('`run_infer_cpp.sh`', '`run_infer_cpp.sh`'),
    'serving/cpp/build/classify --model=v4-saved --json imagenet/val',
    _classified,
    (
      '{same} of {count} predictions as by `eval.py`',
      '{count} 个预测中 {same} 个与 `eval.py` 相同',
    ),
  ),
  Row(
    'MindSpore',
    ('MindRecord, converted', 'MindRecord，转换后'),
    'tools.prepare --source=folder --data_dir=DATA',
    _converted,
    (
      '{train} and {validation} images of {classes} classes',
      '{classes} 个类别，{train} 与 {validation} 张图像',
    ),
    before=_mindrecord,
  ),
  Row(
    'MindSpore',
    (
      'CIFAR-10, `default_config_cpu.yaml`',
      'CIFAR-10，`default_config_cpu.yaml`',
    ),
    'main.py --config=mindspore_inception_v4_cpu --workdir=runs/cpu '
    '--config.data.source=cifar --config.data.dir=cifar-10-batches-bin '
    '--devices=cpu',
    trained,
    TRAINED,
    (*IMAGENET, *STEPS),
    lambda bench: remove(bench, 'runs/cpu'),
  ),
  Row(
    'MindSpore',
    ('keys of the YAML files', 'YAML 文件的键'),
    'main.py --config=mindspore_inception_v4 --config.lr_max=0.4 '
    '--config.epoch_size=250 --config.work_nums=8',
    refused(3, "--config.train_for='250 epochs'"),
    REFUSED,
    status=2,
  ),
  Row(
    'MindSpore',
    ('`obs://`', '`obs://`'),
    'main.py --config=mindspore_inception_v4 --workdir=runs/obs '
    '--config.data.source=folder --config.data.dir=obs://bucket/imagenet',
    lambda bench, done: {'way': bool(done.said('to a local folder'))},
    (
      'exit status 2; the message says what is possible',
      '退出状态 2；信息说明可行的做法',
    ),
    status=2,
  ),
)

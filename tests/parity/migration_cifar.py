"""Rows of CIFAR-10: pytorch-cifar100 and run_incv3.py; see migration.py."""

import subprocess

from tests.parity.migration_checks import EVALUATED
from tests.parity.migration_checks import EXPORTED
from tests.parity.migration_checks import LIKE_FIRST
from tests.parity.migration_checks import REFUSED
from tests.parity.migration_checks import RESUMED
from tests.parity.migration_checks import TRAINED
from tests.parity.migration_checks import agreement
from tests.parity.migration_checks import evaluated
from tests.parity.migration_checks import exported
from tests.parity.migration_checks import like_one_device
from tests.parity.migration_checks import predicted
from tests.parity.migration_checks import refused
from tests.parity.migration_checks import resumed
from tests.parity.migration_checks import trained
from tests.parity.migration_layouts import BATCHES
from tests.parity.migration_layouts import CLASSES
from tests.parity.migration_layouts import TEST
from tests.parity.migration_layouts import TRAIN
from tests.parity.migration_rows import CIFAR
from tests.parity.migration_rows import STEPS
from tests.parity.migration_rows import Bench
from tests.parity.migration_rows import Done
from tests.parity.migration_rows import Row
from tests.parity.migration_rows import expect
from tests.parity.migration_rows import remove
from tests.parity.migration_rows import words
from tests.support import commands

_RUN = 'main.py --config=cifar10_pytorch_inception_v3'
_PYTHON = '--config.data.source=cifar --config.data.dir=cifar-10-batches-py'
_EVAL = f'{_RUN} --workdir=runs/cifar --mode=eval --config.data.source=cifar'
_SYSTEM = 'run_incv3.py'
_SMALL = (*CIFAR, *STEPS, '--config.log_every=1 steps')
_IMAGES = TEST * len(CLASSES)
_FLAG = '--config.data.source=cifar'
_LOSS = (
  'loss of step 1 {loss:.6f}, on one device {other:.6f}',
  '第 1 步损失 {loss:.6f}，单设备为 {other:.6f}',
)
_SECOND = '--coordinator_address=localhost:47123 --num_processes=2'


def _found(bench: Bench, done: Done) -> dict:
  done.said('data.source=auto: cifar in cifar-10-batches-py')
  return trained(bench, done)


def _layout(name: str, feature: tuple[str, str]) -> Row:
  """Returns the evaluation of the run on another layout of the images."""
  folder = f'predictions/{name}'

  def check(bench: Bench, done: Done) -> dict:
    expect(done.result['count'], _IMAGES, 'images')
    first = predicted(bench, 'predictions/cifar-10-batches-py')
    return agreement(predicted(bench, folder), first)

  command = f'{_EVAL} --config.data.dir={name} --output={folder}'
  return Row(_SYSTEM, feature, command, check, LIKE_FIRST, CIFAR)


def _pth(bench: Bench) -> None:
  if (bench.folder / 'cifar.json').exists():
    return
  bench.torch_program(
    '--network=cifar_inception_v3',
    '--images=cifar-10-batches-py/test_batch',
    *('--weights=inceptionv3-50-regular.pth', '--out=cifar.json'),
  )


def _like_torch(bench: Bench, done: Done) -> dict:
  expect(done.result['count'], _IMAGES, 'images')
  names = [CLASSES[number] for number in bench.numbers('cifar.json')]
  return agreement(predicted(bench, 'predictions/pth10'), names)


def _start_second(bench: Bench) -> None:
  """Starts the other of two processes; it ends with the first."""
  remove(bench, 'runs/two')
  command = f'{_RUN} --workdir=runs/two {_PYTHON} {_SECOND} --process_id=1'
  subprocess.Popen(
    [*words(command), *_SMALL],
    cwd=bench.folder,
    env=commands.command(optimized=True)['env'],
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
  )


def _rates(bench: Bench, done: Done) -> dict:
  rows = (bench.folder / 'rates/rates.csv').read_text().splitlines()
  expect(len(rows) - 1, done.result['steps'], 'rates')
  return {'steps': done.result['steps'], 'last': done.result['last_rate']}


def _verified(bench: Bench, done: Done) -> dict:
  done.said('data_batch_6.bin')
  images = {'train': BATCHES * TRAIN * len(CLASSES), 'test': _IMAGES}
  expect(done.result['splits'], images, 'images')
  return images


ROWS = (
  Row(
    _SYSTEM,
    (
      'training on `cifar-10-batches-py`, recognized',
      '用 `cifar-10-batches-py` 训练，自动识别',
    ),
    f'{_RUN} --workdir=runs/cifar --config.data.source=auto '
    "--config.data.dir=cifar-10-batches-py --config.train_for='20 steps'",
    _found,
    TRAINED,
    _SMALL,
    lambda bench: remove(bench, 'runs/cifar'),
  ),
  Row(
    _SYSTEM,
    ('`-resume`', '`-resume`'),
    f'{_RUN} --workdir=runs/cifar --config.data.source=auto '
    "--config.data.dir=cifar-10-batches-py --config.train_for='25 steps'",
    resumed,
    RESUMED,
    (*CIFAR, *STEPS[1:], '--config.log_every=1 steps'),
  ),
  Row(
    _SYSTEM,
    ('`test.py`', '`test.py`'),
    f'{_EVAL} --config.data.dir=cifar-10-batches-py '
    '--output=predictions/cifar-10-batches-py',
    evaluated,
    EVALUATED,
    CIFAR,
  ),
  _layout('cifar-10-batches-bin', ('binary version', '二进制版')),
  _layout(
    'cifar-10-python.tar.gz', ('.tar.gz, Python version', '.tar.gz，Python 版')
  ),
  _layout('cifar-10-binary.zip', ('.zip, binary version', '.zip，二进制版')),
  Row(
    _SYSTEM,
    ('its `data_batch_6.bin`', '其中的 `data_batch_6.bin`'),
    'tools.prepare --source=cifar --data_dir=cifar-10-six --noverify',
    _verified,
    (
      '{train} and {test} images; the log says that it is not read',
      '{train} 与 {test} 张图像；日志说明它不被读取',
    ),
  ),
  Row(
    _SYSTEM,
    ('the best checkpoint', '最好的检查点'),
    f'{_RUN} --workdir=runs/cifar --mode=eval {_PYTHON} --checkpoint=best',
    evaluated,
    ('of step {step}, top-1 {top1:.4f}', '第 {step} 步，top-1 {top1:.4f}'),
    CIFAR,
  ),
  Row(
    _SYSTEM,
    ('`-weights`, a `.pth`', '`-weights`，`.pth`'),
    f'{_RUN} --mode=eval --checkpoint=./inceptionv3-50-regular.pth {_PYTHON} '
    '--output=predictions/pth10',
    _like_torch,
    (
      '{same} of {count} predictions as PyTorch',
      '{count} 个预测中 {same} 个与 PyTorch 相同',
    ),
    ('--config.batch_size=20',),
    _pth,
    torch=True,
  ),
  Row(
    _SYSTEM,
    ('MINDIR', 'MINDIR'),
    'tools.export --workdir=runs/cifar --format=mindir --output=cifar.mindir',
    exported,
    EXPORTED,
    before=lambda bench: remove(bench, 'cifar.mindir'),
  ),
  Row(
    _SYSTEM,
    ('`lr_finder.py`', '`lr_finder.py`'),
    f'tools.find_rate --config=cifar10_pytorch_inception_v3 {_PYTHON} '
    '--output=rates --steps=20',
    _rates,
    (
      '{steps} rates, the last {last:.2g}',
      '{steps} 个学习率，最后一个为 {last:.2g}',
    ),
    CIFAR,
    lambda bench: remove(bench, 'rates'),
  ),
  Row(
    _SYSTEM,
    ('two of four devices', '四个设备中的两个'),
    f'{_RUN} --workdir=runs/devices {_PYTHON} --device_ids=1,3',
    like_one_device('runs/devices', 'on 2 cpu devices'),
    _LOSS,
    _SMALL,
    lambda bench: remove(bench, 'runs/devices'),
    devices=4,
  ),
  Row(
    _SYSTEM,
    ('two processes', '两个进程'),
    f'{_RUN} --workdir=runs/two {_PYTHON} {_SECOND} --process_id=0',
    like_one_device('runs/two', 'on 2 '),
    _LOSS,
    _SMALL,
    _start_second,
  ),
  Row(
    _SYSTEM,
    ("the recipe's source, with own data", '配方的数据源与自己的数据'),
    f'{_RUN} --workdir=runs/none --config.data.dir=cifar-10-batches-py',
    lambda bench, done: {'line': done.said(_FLAG)},
    (
      f'exit status 2; the error names `{_FLAG}`',
      f'退出状态 2；错误信息给出 `{_FLAG}`',
    ),
    status=2,
  ),
  Row(
    'pytorch-cifar100',
    ('flags', '选项'),
    'main.py --config=cifar100_inception_v3 -net inceptionv3 -b 128 -lr 0.1',
    refused(3, '--config.model.name=cifar_inception_v3'),
    REFUSED,
    status=2,
  ),
)

"""Rows of DeepSpark; see migration.py."""

from tests.parity.migration_checks import EVALUATED
from tests.parity.migration_checks import EXPORTED
from tests.parity.migration_checks import FOLDER
from tests.parity.migration_checks import FULL
from tests.parity.migration_checks import LIKE_FIRST
from tests.parity.migration_checks import LIKE_PROGRAM
from tests.parity.migration_checks import LISTS
from tests.parity.migration_checks import REFUSED
from tests.parity.migration_checks import RESUMED
from tests.parity.migration_checks import TRAINED
from tests.parity.migration_checks import evaluated
from tests.parity.migration_checks import exported
from tests.parity.migration_checks import like
from tests.parity.migration_checks import like_numbers
from tests.parity.migration_checks import make_ckpt
from tests.parity.migration_checks import refused
from tests.parity.migration_checks import resumed
from tests.parity.migration_checks import trained
from tests.parity.migration_rows import IMAGENET
from tests.parity.migration_rows import STEPS
from tests.parity.migration_rows import Bench
from tests.parity.migration_rows import Row
from tests.parity.migration_rows import remove

_V3 = 'main.py --config=mindspore_inception_v3 --workdir=runs/v3'
_EVAL_V3 = f'{_V3} --mode=eval'
_MINDCV = (
  'main.py --config=mindcv_inception_v3 --mode=eval '
  '--checkpoint=./inception_v3.ckpt'
)


def _torchvision(bench: Bench) -> None:
  if (bench.folder / 'inception_v3.pth.json').exists():
    return
  bench.torch_program(
    *('--network=inception_v3', '--images=imagenet/val'),
    *('--weights=inception_v3.pth', '--out=inception_v3.pth.json'),
  )


ROWS = (
  Row(
    'DeepSpark',
    ('training on `train_list.txt`', '用 `train_list.txt` 训练'),
    f"{_V3} {LISTS} --config.train_for='20 steps'",
    trained,
    TRAINED,
    (*IMAGENET, *STEPS),
    lambda bench: remove(bench, 'runs/v3'),
  ),
  Row(
    'DeepSpark',
    ('resume', '续训'),
    f"{_V3} {LISTS} --config.train_for='25 steps'",
    resumed,
    RESUMED,
    (*IMAGENET, *STEPS[1:]),
  ),
  Row(
    'DeepSpark',
    (
      '`run_eval_gpu.sh`, on `val_list.txt`',
      '`run_eval_gpu.sh`，用 `val_list.txt`',
    ),
    f'{_EVAL_V3} {LISTS} --output=predictions/lists',
    evaluated,
    EVALUATED,
    IMAGENET,
  ),
  Row(
    'DeepSpark',
    ('class folders, recognized', '类别文件夹，自动识别'),
    f'{_EVAL_V3} --config.data.source=auto --config.data.dir=imagenet '
    '--output=predictions/folder',
    like('predictions/folder', 'predictions/lists', 1.0, 'auto: folder in'),
    LIKE_FIRST,
    IMAGENET,
  ),
  Row(
    'DeepSpark',
    ('zip of class folders', '类别文件夹的 zip'),
    f'{_EVAL_V3} --config.data.source=folder --config.data.dir=imagenet.zip '
    '--output=predictions/zip',
    like('predictions/zip', 'predictions/lists'),
    LIKE_FIRST,
    IMAGENET,
  ),
  Row(
    'DeepSpark',
    ('two of four devices', '四个设备中的两个'),
    f'{_EVAL_V3} {LISTS} --output=predictions/devices --device_ids=0,2',
    like('predictions/devices', 'predictions/lists', 0.99, 'on 2 cpu devices'),
    LIKE_FIRST,
    IMAGENET,
    devices=4,
  ),
  Row(
    'DeepSpark',
    ('`work_nums`', '`work_nums`'),
    f'{_EVAL_V3} {LISTS} --output=predictions/one --config.data.workers=1',
    like('predictions/one', 'predictions/lists', 1.0, 'read by 1 thread'),
    LIKE_FIRST,
    IMAGENET,
  ),
  Row(
    'DeepSpark',
    ('ONNX', 'ONNX'),
    'tools.export --workdir=runs/v3 --format=onnx --output=v3.onnx',
    exported,
    EXPORTED,
    before=lambda bench: remove(bench, 'v3.onnx'),
  ),
  Row(
    'DeepSpark',
    ('`run_eval_onnx_gpu.sh`', '`run_eval_onnx_gpu.sh`'),
    'tools.evaluate_artifact --artifact=v3.onnx '
    f'--config=mindspore_inception_v3 {LISTS} --output=predictions/onnx',
    like('predictions/onnx', 'predictions/lists', 0.99),
    LIKE_FIRST,
    IMAGENET,
  ),
  Row(
    'DeepSpark',
    (
      'the PyTorch weights, `.pth` of torchvision',
      'PyTorch 权重，torchvision 的 `.pth`',
    ),
    'main.py --config=inception_v3 --mode=eval --checkpoint=./inception_v3.pth '
    f'{FOLDER} --output=predictions/pth',
    like_numbers(
      'predictions/pth', 'inception_v3.pth.json', 'torchvision', 0.98
    ),
    LIKE_PROGRAM,
    ('--config.batch_size=20', '--config.precision=float32'),
    _torchvision,
    torch=True,
  ),
  Row(
    'DeepSpark',
    ('`--amp`', '`--amp`'),
    f'main.py --config=mindspore_inception_v3 --workdir=runs/float16 {FOLDER} '
    '--config.precision=float16 --config.loss_scale=1024',
    trained,
    TRAINED,
    (*IMAGENET, *STEPS),
    lambda bench: remove(bench, 'runs/float16'),
  ),
  Row(
    'DeepSpark',
    ('flags of the PyTorch scripts', 'PyTorch 脚本的选项'),
    'main.py --config=inception_v3 --data-path=imagenet --batch-size=32 '
    '--lr=0.1 --epochs=90',
    refused(4, '--config.data.dir=imagenet'),
    REFUSED,
    status=2,
  ),
  Row(
    'DeepSpark',
    ('TFRecords of the TensorFlow scripts', 'TensorFlow 脚本的 TFRecord'),
    f'{_MINDCV} --config.data.source=tfrecord '
    '--config.data.dir=imagenet_tfrecord --config.model.num_classes=1000 '
    '--output=predictions/tfrecord',
    like_numbers('predictions/tfrecord', 'inception_v3.json', 'MindCV', 0.98),
    LIKE_PROGRAM,
    FULL,
    make_ckpt('mindcv_inception_v3', 'inception_v3'),
  ),
)

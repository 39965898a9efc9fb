"""What the commands of the migration table must have done."""

import csv
import json
import math
import shutil

from inception_jax.data.prepare import imagenet
from inception_jax.runtime import metrics_file
from tests.parity.migration_rows import Bench
from tests.parity.migration_rows import Done
from tests.parity.migration_rows import Wrong
from tests.parity.migration_rows import expect
from tests.parity.migration_rows import remove

# Results, in English and in Chinese.
TRAINED = (
  '{count} images of {classes} classes; evaluated after step {step}',
  '{classes} 个类别共 {count} 张图像；第 {step} 步后评估',
)
RESUMED = (
  'resumes after step {first}, ends with step {last}',
  '从第 {first} 步后继续，到第 {last} 步结束',
)
EVALUATED = (
  '{count} images, top-1 {top1:.4f}',
  '{count} 张图像，top-1 {top1:.4f}',
)
LIKE_FIRST = (
  '{same} of {count} predictions as on the first layout',
  '{count} 个预测中 {same} 个与第一种布局相同',
)
LIKE_PROGRAM = (
  '{same} of {count} predictions as {program}',
  '{count} 个预测中 {same} 个与 {program} 相同',
)
REFUSED = (
  'exit status 2; {count} lines name the counterparts, as `{example}`',
  '退出状态 2；{count} 行给出对应项，如 `{example}`',
)
MIGRATED = (
  '{mapped} keys mapped, {dropped} without a counterpart, {refused} refused',
  '{mapped} 个键有对应，{dropped} 个无对应，{refused} 个被拒绝',
)
EXPORTED = (
  'largest difference of a logit {max_abs_diff:.1e}',
  'logit 的最大差 {max_abs_diff:.1e}',
)
PHOTOS = 200
LISTS = '--config.data.source=folder --config.data.dir=imagenet-lists'
FOLDER = '--config.data.source=folder --config.data.dir=imagenet'
# Of networks at their full width.
FULL = (
  *('--config.data.image_size=139', '--config.batch_size=20'),
  '--config.precision=float32',
)


def predicted(bench: Bench, folder: str) -> list[str]:
  """Returns the first class of each image of a predictions.csv."""
  with open(bench.folder / folder / 'predictions.csv') as file:
    return [row['class_1'] for row in csv.DictReader(file)]


def agreement(found: list, others: list, least: float = 1.0) -> dict:
  """Returns how many predictions are the same as another program's.

  Raises:
    Wrong: fewer than the fraction `least`, or all are of one class.
  """
  expect(len(found), len(others), 'number of predictions')
  if len(set(found)) < 2:
    raise Wrong(f'all predictions are {found[:1]}')
  same = sum(a == b for a, b in zip(found, others, strict=True))
  if same < least * len(found):
    raise Wrong(f'only {same} of {len(found)} predictions are the same')
  return {'same': same, 'count': len(found)}


def trained(bench: Bench, done: Done) -> dict:
  """Returns what was trained on and evaluated, with named classes."""
  words_of = done.said(' images of ').split()
  at = words_of.index('images')
  if '(0)' in words_of:
    raise Wrong(f'the classes are numbers: {words_of}')
  expect(done.result['step'], 20, 'last step')
  if not math.isfinite(done.result['loss']):
    raise Wrong(f'loss {done.result["loss"]}')
  return {
    'count': int(words_of[at - 1].replace(',', '')),
    'classes': int(words_of[at + 2]),
    'step': done.result['step'],
  }


def evaluated(bench: Bench, done: Done) -> dict:
  """Returns an evaluation's count and accuracy."""
  if not 0 <= done.result['top1'] <= done.result['top5'] <= 1:
    raise Wrong(f'{done.result}')
  return done.result


def exported(bench: Bench, done: Done) -> dict:
  """Returns the difference of an exported file from its network."""
  if not done.result['max_abs_diff'] < 1e-3:
    raise Wrong(f'max_abs_diff {done.result["max_abs_diff"]}')
  return done.result


def migrated(bench: Bench, done: Done) -> dict:
  """Returns how many keys of a YAML file became what."""
  names = ('mapped', 'without_counterpart', 'refused')
  mapped, dropped, refused_keys = (len(done.result[name]) for name in names)
  if mapped < 15 or refused_keys:
    raise Wrong(f'{done.result}')
  return {'mapped': mapped, 'dropped': dropped, 'refused': refused_keys}


def refused(count: int, example: str):
  """Returns a check that `count` lines name counterparts, one the example."""

  def check(bench: Bench, done: Done) -> dict:
    lines = [x for x in done.log.splitlines() if 'here it is' in x]
    expect(len(lines), count, f'counterparts in {done.log}')
    done.said(example)
    return {'count': count, 'example': example}

  return check


def like(folder: str, other: str, least: float = 1.0, log: str = ''):
  """Returns a check that two evaluations have predicted the same."""

  def check(bench: Bench, done: Done) -> dict:
    if log:
      done.said(log)
    expect(done.result['count'], PHOTOS, 'images')
    return agreement(predicted(bench, folder), predicted(bench, other), least)

  return check


def like_numbers(folder: str, file: str, program: str, least: float):
  """Returns a check that another system has predicted the same."""

  def check(bench: Bench, done: Done) -> dict:
    expect(done.result['count'], PHOTOS, 'images')
    found, numbers = predicted(bench, folder), bench.numbers(file)
    # TFRecords without labels.txt have numbers for names.
    names = {
      x: str(x) if found[0].isdecimal() else synset
      for x, synset in enumerate(imagenet.synsets())
    }
    same = agreement(found, [names[number] for number in numbers], least)
    return {**same, 'program': program}

  return check


def make_ckpt(network: str, name: str):
  """Returns what writes MindSpore's weights and its predictions."""

  def make(bench: Bench) -> None:
    if (bench.folder / f'{name}.json').exists():
      return
    common = (f'--network={network}', '--images=imagenet/val')
    bench.mindspore_program('make', *common, f'--out={name}.ckpt')
    bench.mindspore_program(
      *('evaluate', *common),
      *(f'--weights={name}.ckpt', f'--out={name}.json'),
    )

  return make


def evaluated_by_mindspore(weights: str, network: str, other: str):
  """Returns a check that MindSpore predicts the same with our file."""

  def check(bench: Bench, done: Done) -> dict:
    bench.mindspore_program(
      *('evaluate', f'--network={network}', '--images=imagenet/val'),
      *(f'--weights={weights}', '--out=ours.json'),
    )
    # Where BatchNorm is folded, two classes may round to the same logit.
    ours, theirs = bench.numbers('ours.json'), bench.numbers(other)
    return {**done.result, **agreement(ours, theirs, 0.98)}

  return check


def yaml_of(path: str):
  return lambda bench: (
    remove(bench, 'my_v3.py', 'my_v4.py')
    if not shutil.copy(bench.clones / path, bench.folder)
    else None
  )


def resumed(bench: Bench, done: Done) -> dict:
  done.said('resuming after step 20 of 25')
  expect(done.result['step'], 25, 'last step')
  return {'first': 20, 'last': 25}


def _losses(bench: Bench, run: str) -> list[float]:
  """Returns the loss of each step of a run."""
  path = bench.folder / run / metrics_file.NAME
  lines = map(json.loads, path.read_text().splitlines())
  return [line['loss'] for line in lines if line['split'] == 'train']


def like_one_device(run: str, log: str):
  """Returns a check of the first loss against the run on one device."""

  def check(bench: Bench, done: Done) -> dict:
    done.said(log)
    loss, other = _losses(bench, run)[0], _losses(bench, 'runs/cifar')[0]
    if not math.isclose(loss, other, rel_tol=1e-5):
      raise Wrong(f'loss {loss}, on one device {other}')
    return {'loss': loss, 'other': other}

  return check

"""Runs the commands of the pages, as they stand, in a sandbox."""

import pathlib
import re

from tests.support import commands
from tests.support import pages
from tests.support import small_networks

# Start of a command → why no test runs it. The others are run.
NOT_RUN = {
  'make ': 'installs packages, or trains for minutes',
  '.venv/bin/pip ': 'installs packages',
  'pip install ': 'installs packages; tests/system/test_wheel.py installs it',
  '.venv-tpu/bin/python ': 'compiles with libtpu, of `make .venv-tpu/ready`',
  'python -m benchmarks.run --what=input --torch=': 'needs PyTorch',
  'python -m inception_jax.tools.report runs/digits --serve': (
    'serves until it is stopped; tests/tools/test_report.py opens it'
  ),
  'hf upload ': 'writes to the Hugging Face hub',
  'docker ': 'needs Docker',
  'echo ': 'asks the server that Docker runs',
  'curl ': 'asks the server that Docker runs',
  'serving/cpp/build/classify ': (
    'is built by `make cpp`; tests/system/test_serving_cpp.py runs it'
  ),
  'python -m http.server ': (
    'serves until it is stopped; tests/system/test_serving_web.py opens it'
  ),
  'python -m inception_jax.tools.export --workdir=runs/v4 --format=mindir ': (
    'needs MindSpore; tests/export/test_mindir.py'
  ),
  'python -m inception_jax.tools.export --workdir=runs/v4 --format=air ': (
    'needs an Ascend device'
  ),
  'python main.py --config=configs/inception_v4.py --workdir=/shared/': (
    'is one of four processes; tests/system/test_processes.py starts several'
  ),
  'sbatch ': 'needs Slurm; tests/system/test_slurm.py',
  'HOSTS=': 'needs several hosts; tests/system/test_launch.py',
  'TPU=': 'needs TPUs; tests/system/test_launch.py',
  'python main.py --config=configs/cifar100_inception_v3.py'
  ' --workdir=runs/cifar100 --mode=eval': 'a .pth file needs PyTorch',
  'python -m inception_jax.tools.import_weights --weights=pt_inception': (
    'a .pth file needs PyTorch'
  ),
}
# What exists only in a real installation → in the sandbox.
_PLACES = (
  (r'(?<==)/(data|path)/', r'\1/'),
  (r'gs://BUCKET/', 'gs://bucket/'),
)


def text_of(words: list[str]) -> str:
  return ' '.join(words)


def reason_not_to_run(words: list[str]) -> str:
  """Returns why a command is not run; '' if it is."""
  starts = (k for k in NOT_RUN if text_of(words).startswith(k))
  return next((NOT_RUN[start] for start in starts), '')


def in_reading_order() -> list[pathlib.Path]:
  """Returns the README, then the pages by the table of docs/README.md."""
  table = (commands.ROOT / 'docs/README.md').read_text()
  found = re.findall(r'^\| \[[^\]]+\]\(([\w-]+\.md)\)', table, re.M)
  return [
    commands.ROOT / 'README.md',
    *(commands.ROOT / 'docs' / name for name in found),
  ]


def fault_of(words: list[str], folder: pathlib.Path) -> str:
  """Runs a command; returns what is wrong with it, or ''."""
  for pattern, place in _PLACES:
    words = [re.sub(pattern, place, word) for word in words]
  name, *args = words
  if name == 'inception-jax':
    program = ('-m', 'inception_jax')
  elif args[0] == '-m':
    program, args = tuple(args[:2]), args[2:]
  else:
    program, args = (args[0],), args[1:]
  done = commands.run(
    *args, program=program, cwd=folder, prepare=small_networks.install
  )
  if done.returncode:
    return f'{text_of(words)}\n  status {done.returncode}: {done.stderr}'
  outputs = [
    value
    for name, _, value in (word.partition('=') for word in args)
    if name in ('--output', '--workdir', '--describe') and '://' not in value
  ]
  missing = [x for x in outputs if not (folder / x).exists()]
  return f'{text_of(words)}\n  did not write {missing}' if missing else ''


def sections(path: pathlib.Path) -> dict[str, list[list[str]]]:
  """Returns {title: commands} of each section that has commands."""
  text = path.read_text()
  titles = [title for _, title in pages.headings(text)]
  bodies = pages.sections(text)[1:]
  found = zip(titles, map(pages.commands, bodies), strict=True)
  return {title: commands for title, commands in found if commands}

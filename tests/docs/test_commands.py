"""Commands, flags, keys and recipes of the pages exist.

They are parsed here; test_run_commands.py runs most of them.
"""

import ast
import re

import pytest

from configs import default
import inception_jax
from inception_jax.config import serialization
from inception_jax.models import factory
from inception_jax.models.architectures import ARCHITECTURES
from inception_jax.training import preflight
from tests import test_contributing
from tests.support import page_commands
from tests.support import pages
from tests.support.commands import ROOT

TEXTS = {
  pages.name_of(path): path.read_text()
  for path in (*pages.ENGLISH, *pages.OTHERS)
}
COMMANDS = [
  pytest.param(words, id=f'{name}: {" ".join(words)[:60]}')
  for name, text in TEXTS.items()
  for words in pages.commands(text)
]
RECIPES = {path.stem for path in (ROOT / 'configs').glob('[!_]*.py')}
KEYS = test_contributing.KEYS
TOOLS = {path.stem for path in (ROOT / 'inception_jax/tools').glob('[!_]*.py')}


@pytest.mark.parametrize('words', COMMANDS)
def test_commands_parse(words):
  assert page_commands.faults(words) == []


@pytest.mark.parametrize(
  'words', [p for p in COMMANDS if 'main.py' in p.values[0]]
)
def test_configs_of_commands_lack_nothing_but_data(words):
  arguments = page_commands.config_arguments(words)
  config = factory.resolve(page_commands.parse_config(arguments))
  found = preflight.of_config(config, bool(config.fine_tune.checkpoint))
  data = r"data\.(dir|source)='.*(not a folder|no such folder|no prepared)"
  assert [fault for fault in found if not re.match(data, fault)] == []


def test_all_tools_have_a_command():
  called = {w.rpartition('.')[2] for p in COMMANDS for w in p.values[0]}
  assert TOOLS <= called


@pytest.mark.parametrize(
  'line, fault',
  [
    ('python main.py --config=configs/inception_v5.py', 'inception_v5'),
    ('python main.py --config=configs/digits.py --config.bach_size=3', 'bach'),
    ('python main.py --config=configs/digits.py --config.batch_size=x', 'x'),
    ('python main.py --config=configs/digits.py --wrkdir=x', 'wrkdir'),
    ('python main.py --config=configs/digits.py x', 'not a flag'),
    ('python main.py --mode=test', 'test'),
    ('python -m inception_jax.tools.export --format=onyx', 'onyx'),
    ('python -m inception_jax.tools.exprt --format=onnx', 'exprt'),
    ('python -m benchmarks.run --rounds=many', 'many'),
    ('python evaluate.py', 'evaluate.py'),
    ('inception-jax trian --config=digits', 'trian'),
    ('inception-jax train --config=digit', 'digit'),
    ('make trian', 'trian'),
    ('X=1 launch/ssh.sh configs/inception_v4', 'inception_v4'),
    ('serving/cpp/build/classify --modle=x', 'modle'),
    ('tran x', 'tran'),
  ],
)
def test_mistakes_are_noticed(line, fault):
  (words,) = pages.commands(f'```sh\n{line}\n```\n')
  assert any(fault in text for text in page_commands.faults(words))


def spans_of(name):
  """What is in backticks; migration.md's left columns are of other systems."""
  text = TEXTS[name]
  if name == 'docs/migration.md':
    # Of its last table, tests/parity/test_migration.py parses the commands.
    text = text.partition('<!-- make migration -->')[0]
    text = re.sub(r'^\|[^|]*\|', '|', text, flags=re.M)
  return pages.spans(text)


def missing_names(spans):
  """Returns the config keys, recipes, flags and targets that do not exist."""
  defined = set()
  tools = (ROOT / 'inception_jax/tools').glob('*.py')
  for path in (ROOT / 'benchmarks/run.py', *tools):
    defined |= page_commands.defined_flags(path).keys()
  groups = {key.split('.')[1] for key in KEYS if key.count('.') == 2}
  missing = []
  for span in spans:
    if match := re.match(r'(?:config\.)?([a-z_]+\.[a-z_]+)\b', span):
      key, group = match[1], match[1].partition('.')[0]
      is_key = span != 'model.card'  # the network's attribute
      if is_key and group in groups and f'config.{key}' not in KEYS:
        missing.append(span)
    if span.startswith('--config.'):
      key = span.partition('=')[0].removeprefix('--')
      if key not in KEYS:
        missing.append(span)
    elif match := re.match(r'--(?:no)?([\w]+)', span):
      missing += [] if {match[1], f'no{match[1]}'} & defined else [span]
    if match := re.fullmatch(r'(?:configs/)?(\w+_inception_\w+)(\.py)?', span):
      if match[1] not in RECIPES and match[1] not in ARCHITECTURES:
        missing.append(span)
    if match := re.match(r'make ([\w.-]+)$', span):
      if match[1] not in test_contributing.TARGETS:
        missing.append(span)
    if match := re.fullmatch(r'tools\.(\w+).*', span):
      missing += [] if match[1] in TOOLS else [span]
  return missing


@pytest.mark.parametrize('name', [pages.name_of(p) for p in pages.ENGLISH])
def test_names_exist(name):
  spans = spans_of(name)
  assert spans
  assert missing_names(spans) == []


@pytest.mark.parametrize(
  'span',
  [
    '--config.data.polcy=x',
    'data.polcy',
    "schedule.mile='x'",
    '--checkpont=',
    'mindcv_inception_v5',
    'configs/slim_inception_v4.py',
    'make trian',
    'tools.exprt --format=onnx',
  ],
)
def test_missing_names_are_noticed(span):
  assert missing_names([span]) == [span]


@pytest.mark.parametrize(
  'span',
  sorted(
    {
      span
      for name in TEXTS
      for span in spans_of(name)
      # KEY stands for any key.
      if re.match(r'--config\.[\w.]+=(?!KEY$).', span)
    }
  ),
)
def test_overrides_take_their_value(span):
  unquoted = re.sub(r'=(["\'])(.*)\1$', r'=\2', span)
  assert page_commands.faults_of_config([unquoted]) == []


def test_the_table_of_recipes_is_complete():
  text = dict(
    zip(
      [title for _, title in pages.headings(TEXTS['docs/training.md'])],
      pages.sections(TEXTS['docs/training.md'])[1:],
      strict=True,
    )
  )['Recipes']
  first = re.findall(r'^\|([^|]*)\|', text, re.M)
  listed = {name for cell in first for name in re.findall(r'`(\w+)`', cell)}
  assert listed == RECIPES - {'default'}
  assert f'{len(listed)} recipes' in TEXTS['README.md']


def test_python_in_the_pages_names_what_exists():
  found = [
    code
    for text in TEXTS.values()
    for language, code in pages.blocks(text)
    if language == 'python'
  ]
  assert len(found) >= 4
  names = set()
  for code in found:
    for node in ast.walk(ast.parse(code)):
      if isinstance(node, ast.ImportFrom) and node.module == 'inception_jax':
        names |= {alias.name for alias in node.names}
  assert names >= {'create_model', 'features', 'load_pretrained'}
  assert names <= set(inception_jax.__all__)


def test_defaults_are_those_that_the_pages_state():
  config = dict(serialization.flatten(default.get_config()))
  text = TEXTS['docs/checkpoints.md']
  for key in ('checkpoint_keep', 'checkpoint_keep_every', 'best_by'):
    assert f'`{key}`' in text and key in config
  assert f'`watchdog_minutes` ({config["watchdog_minutes"]:.0f})' in text
  share = f'{100 * config["data.max_bad_fraction"]:.1f}'
  assert f'`data.max_bad_fraction` ({share} %)' in TEXTS['docs/data.md']

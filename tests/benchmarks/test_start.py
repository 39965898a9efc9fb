"""The start benchmark."""

import json

import pytest

from tests.support.benchmarks import TINIEST
from tests.support.benchmarks import benchmark


@pytest.mark.slow
def test_second_start_uses_the_compilation_cache(tmp_path):
  recipe = tmp_path / 'recipe.py'
  recipe.write_text(
    'import tests.support.tiny\nfrom configs.digits import get_config\n'
  )
  args = [f'--config={recipe}', *TINIEST[1:]]
  done = benchmark('--what=start', *args, '--rounds=1')
  assert done.returncode == 0, done.stderr
  result = json.loads(done.stdout.splitlines()[-1])
  assert result['args'] == args
  cold, more = result['programs']
  assert cold > 0 and more == 0
  args += ['--config.data.source=folder', f'--config.data.dir={tmp_path}']
  done = benchmark('--what=start', *args, '--rounds=1')
  assert done.returncode == 1
  assert 'main.py ended early:' in done.stderr

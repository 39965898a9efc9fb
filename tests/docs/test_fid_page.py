"""The Python of docs/fid.md; test_run_commands.py runs its commands."""

import os
import re

from tests.support import pages
from tests.support import small_networks
from tests.support.commands import ROOT
from tests.support.forks import Fork

PAGE = ROOT / 'docs' / 'fid.md'


def _run(code, folder):
  os.chdir(folder)
  small_networks.install()
  exec(compile(code, PAGE.name, 'exec'), {})


def test_the_block_runs_as_it_stands(sandbox):
  (code,) = (
    x for kind, x in pages.blocks(PAGE.read_text()) if kind == 'python'
  )
  running = Fork(_run, code, sandbox)
  stdout, stderr = running.communicate()
  assert running.returncode == 0, stderr
  assert re.fullmatch(r'\d+\.\d+(e-\d+)?', stdout.splitlines()[-1])

"""The command tools.compile."""

from tests.support.commands import tool


def test_every_fault_is_reported():
  done = tool(
    'compile',
    '--config=configs/digits.py',
    '--topology=v5e:2',
    '--config.precision=float8',
  )
  assert done.returncode == 2
  first, second, third = done.stderr.splitlines()[-3:]
  assert first.startswith('error: --topology=v5e:2: a v5e slice has')
  assert second.startswith("error: precision='float8'")
  assert third.startswith('error: libtpu')
  assert not done.stdout

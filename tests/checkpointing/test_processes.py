"""Two processes read and clean up the same folders of checkpoints."""

import json
import shutil

from tests.support.checkpoints import names_in
from tests.support.commands import start
from tests.support.hosts import free_port

# Process 1 may change nothing, and its network file system is late: it still
# shows no step but 6.
PROGRAM = """
import json, os, shutil, sys
import jax
jax.distributed.initialize(f'localhost:{sys.argv[1]}', 2, int(sys.argv[2]))
from inception_jax.checkpointing import contents
from inception_jax.checkpointing.manager import CheckpointManager
if jax.process_index():
  contents.read = lambda folder: contents.Contents([6], [], [], [])
  os.rename = shutil.rmtree = None
for folder in sys.argv[3:]:
  checkpoints = CheckpointManager(folder)
  outcome = []
  if steps := checkpoints.steps():
    read = checkpoints.read_first_sound(steps[::-1], lambda record: {'params'})
    outcome += [read[0], read[1]['step'], float(read[2]['params/w'][0])]
  if found := checkpoints.resume():
    outcome += [found[0], found[1]['step'], float(found[2]['params/w'][0])]
  print(json.dumps({'found': [*outcome, checkpoints.steps()]}), flush=True)
"""


def run(*folders):
  """Returns what each process prints of each folder."""
  port = str(free_port())
  processes = [
    start(port, str(i), *map(str, folders), program=('-c', PROGRAM))
    for i in range(2)
  ]
  try:
    outputs = [process.communicate(timeout=100) for process in processes]
  finally:
    for process in processes:
      process.end()
  for process, (_, errors) in zip(processes, outputs, strict=True):
    assert process.returncode == 0, errors
  return [
    [json.loads(x)['found'] for x in out.splitlines() if x.startswith('{')]
    for out, _ in outputs
  ]


def test_processes_agree_on_the_step_and_one_changes_the_folder(
  two_checkpoints, tmp_path
):
  sound = shutil.copytree(two_checkpoints, tmp_path / 'sound')
  damaged = shutil.copytree(two_checkpoints, tmp_path / 'damaged')
  shutil.rmtree(damaged / '7' / 'record')
  for name in ('9', '5.deleted', '8.orbax-checkpoint-tmp'):
    (damaged / name).mkdir()
  outcomes = run(sound, damaged)
  assert outcomes[0] == outcomes[1]
  assert outcomes[0] == [
    [*[7, 7, 7.0] * 2, [6, 7]],
    [*[6, 6, 6.0] * 2, [6]],
  ]
  assert names_in(sound) == ['6', '7']
  assert names_in(damaged) == ['6', '7.damaged', '9.damaged']

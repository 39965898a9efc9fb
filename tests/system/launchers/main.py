"""Plays a training's process: says that it started, ends as $PLAN has it.

PLAN: for every start, for every process, an exit status; or 'saves', which
waits for SIGTERM, takes its time, and ends in 75; or 'lost', which misses
another process after a while, and ends so too; or 'late', which fails then.
"""

import json
import os
import pathlib
import signal
import sys
import time

ours = [arg for arg in sys.argv if arg.startswith('--process_id=')]
names = ('SLURM_PROCID', 'OMPI_COMM_WORLD_RANK', 'WORKER')
index = int(
  ours[0].partition('=')[2]
  if ours
  else next(os.environ[name] for name in names if name in os.environ)
)
folder = pathlib.Path(os.environ['PLAYED'])
start = len(list(folder.glob(f'*-{index}.json')))
signal.alarm(60)  # of a test that failed nothing stays behind
told = []
signal.signal(signal.SIGTERM, lambda number, _: told.append(number))


def say():
  env = {k: v for k, v in os.environ.items() if k.startswith(('SLURM', 'OMPI'))}
  said = {'argv': sys.argv[1:], 'told': len(told), 'env': env}
  path = folder / f'{start}-{index}.json'
  path.with_suffix('.new').write_text(json.dumps(said))
  path.with_suffix('.new').rename(path)


say()
plan = json.loads(os.environ['PLAN'])[start]
while len(list(folder.glob(f'{start}-*.json'))) < len(plan):  # as jax waits
  time.sleep(0.02)
status = plan[index]
if status == 'saves':
  while not told:
    time.sleep(0.02)
  time.sleep(0.1 + 0.2 * index)
  status = 75
elif status in ('lost', 'late'):
  time.sleep(0.3)
  status = {'lost': 75, 'late': 2}[status]
say()
sys.exit(status)

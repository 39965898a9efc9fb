"""Stub of main.py: writes a record and exits as $PLAN says.

PLAN: for every start and process an exit status; or 'saves', which waits for
SIGTERM and exits with 75 after a while; or 'lost', which exits with 75 after a
while, as if another process had ended; or 'late', which then fails with 2.
"""

import json
import os
import pathlib
import signal
import sys
import time

index_flags = [arg for arg in sys.argv if arg.startswith('--process_id=')]
names = ('SLURM_PROCID', 'OMPI_COMM_WORLD_RANK', 'WORKER')
index = int(
  index_flags[0].partition('=')[2]
  if index_flags
  else next(os.environ[name] for name in names if name in os.environ)
)
folder = pathlib.Path(os.environ['RECORDS'])
start = len(list(folder.glob(f'*-{index}.json')))
signal.alarm(60)  # ends the process if its test failed
signals = []
signal.signal(signal.SIGTERM, lambda number, _: signals.append(number))


def write_record():
  names = ('SLURM', 'OMPI', 'INCEPTION')
  env = {k: v for k, v in os.environ.items() if k.startswith(names)}
  record = {'argv': sys.argv[1:], 'signals': len(signals), 'env': env}
  path = folder / f'{start}-{index}.json'
  path.with_suffix('.new').write_text(json.dumps(record))
  path.with_suffix('.new').rename(path)


write_record()
plan = json.loads(os.environ['PLAN'])[start]
while len(list(folder.glob(f'{start}-*.json'))) < len(plan):  # as jax does
  time.sleep(0.02)
status = plan[index]
if status == 'saves':
  while not signals:
    time.sleep(0.02)
  time.sleep(0.1 + 0.2 * index)
  status = 75
elif status in ('lost', 'late'):
  time.sleep(0.3)
  status = {'lost': 75, 'late': 2}[status]
write_record()
sys.exit(status)

"""Evaluation by several processes gives the result of one."""

import json

import pytest

from inception_jax.data.sources import registry
from inception_jax.distributed import sharding
from inception_jax.evaluation.evaluator import Evaluator
from tests.support.commands import start
from tests.support.hosts import free_port
from tests.support.pictures import config_of
from tests.support.pictures import network

# Calls `evaluated` in one of several processes.
PROGRAM = """
import json, sys
folder, port, index, count = sys.argv[1:]
import jax
jax.distributed.initialize(f'localhost:{port}', int(count), int(index))
from tests.system import test_processes
result, rows = test_processes.evaluated(folder)
guesses = [row['classes'].tolist() for row in rows]
print(json.dumps([jax.device_count(), result, guesses]))
"""


def evaluated(folder):
  config = config_of(folder, eval_protocol='12_crops')
  split = registry.load(config, 'val')
  model, variables = network(config, 1)
  variables = {key: dict(value) for key, value in variables.items()}
  evaluator = Evaluator([(config, model)], split, sharding.make_mesh())
  evaluation = evaluator(variables)
  return evaluation.scores, evaluation.batches


@pytest.mark.slow
def test_two_processes_evaluate_as_one(pictures):
  expected, rows = evaluated(pictures)
  port, program = free_port(), ('-c', PROGRAM)
  processes = [
    start(*map(str, (pictures, port, index, 2)), devices=8, program=program)
    for index in range(2)
  ]
  outputs = [process.communicate(timeout=300) for process in processes]
  for process, (out, error) in zip(processes, outputs, strict=True):
    assert process.returncode == 0, error
    devices, result, guesses = json.loads(out.splitlines()[-1])
    assert devices == 16  # eight each
    loss = pytest.approx(expected['loss'], abs=1e-5)
    assert result == {**expected, 'loss': loss}
    flat = [image for batch in guesses for image in batch]
    ours = [image for row in rows for image in row['classes'].tolist()]
    assert flat[:23] == ours[:23]

"""Runs in a bucket: trained, killed, resumed, followed and read by commands."""

import json
import os
import tempfile
import time

import pytest

from inception_jax.buckets import runs as bucket_runs
from inception_jax.buckets.bucket import Bucket
from inception_jax.buckets.lease import Lease
from inception_jax.checkpointing import checkpoint
from inception_jax.checkpointing import lookup
from inception_jax.checkpointing.directory import CheckpointDirectory
from inception_jax.runtime import metrics_file
from tests.support import commands
from tests.support import uploads
from tests.support.hosts import Hosts
from tests.support.hosts import wait_all
from tests.support.training_process import arguments
from tests.system import soak_pod

STEPS = 24
CHANGES = {
  'model.name': 'tiniest',
  'model.aux_head': False,
  'train_for': f'{STEPS} steps',
  'checkpoint_every': '8 steps',
  'eval_every': '12 steps',
  'checkpoint_keep': 9,
}


def often():
  """Writes what has changed to the bucket after every step."""
  bucket_runs.PUBLISH = 0.02


@pytest.fixture
def machine(tmp_path, monkeypatch):
  """Gives what is started next the local folders of another machine."""
  start = lambda name: monkeypatch.setenv(
    'INCEPTION_JAX_BUCKETS', str(tmp_path / name)
  )
  start('first')
  return start


@pytest.fixture(scope='module')
def undisturbed(tmp_path_factory):
  """The same training in a local folder."""
  workdir = tmp_path_factory.mktemp('undisturbed')
  end(train(workdir))
  return state_of(str(workdir))


def train(url, *args, **changes):
  return commands.start(
    *(*arguments(url, **CHANGES, **changes), *args),
    program=('-m', 'tests.support.tiny'),
    prepare=often,
  )


def end(process, status=0):
  """Returns the result, or the errors of a process that is to fail."""
  out, errors = process.communicate(timeout=300)
  assert process.returncode == status, errors
  return errors if status else json.loads(out.splitlines()[-1])


def state_of(workdir):
  """Returns what a run has computed: digests, scores and losses."""
  path = bucket_runs.local(workdir)
  history = CheckpointDirectory(lookup.checkpoint_folder(path))
  history.read_step(STEPS, checkpoint.state_fields)
  record = history.record(STEPS)
  lines = [
    {k: x for k, x in line.items() if k not in metrics_file.TIMES}
    for line in metrics_file.read(path)
  ]
  return history.steps(), record['leaves'], lines


def wait_for(url, name, process):
  while name not in Bucket(url).names():
    assert process.poll() is None, process.communicate()
    time.sleep(0.01)


@pytest.mark.slow
def test_killed_runs_resume_bitwise_on_any_machine(
  google, machine, undisturbed, tmp_path
):
  url = 'gs://bucket/killed'
  first = train(url)
  wait_for(url, 'checkpoints/8/_CHECKPOINT_METADATA', first)
  first.kill()
  first.communicate()
  machine('second')
  second = train(url)
  wait_for(url, 'checkpoints/16/_CHECKPOINT_METADATA', second)
  second.kill()
  second.communicate()
  machine('first')  # whose folder is behind
  result = end(train(url))
  assert state_of(url) == undisturbed
  assert result['step'] == STEPS
  assert '.lock' not in Bucket(url).names()
  # A copy of the bucket is a run.
  copy = tmp_path / 'copy'
  for name, found in Bucket(url).read_all(Bucket(url).names()):
    path = copy / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(found.content)
  assert state_of(str(copy)) == undisturbed


@pytest.mark.slow
def test_two_trainings_do_not_share_a_run(google, machine):
  url = 'gs://bucket/in-use'
  owner = Lease(Bucket(url))
  process = train(url)
  while process.poll() is None:
    owner.renew()
    time.sleep(0.1)
  fault = f'error: {url} is in use by another training, process {os.getpid()} '
  assert fault in end(process, status=2)
  owner.release()
  assert Bucket(url).names() == []


@pytest.mark.slow
def test_failing_requests_change_nothing(google, machine, undisturbed):
  url = 'gs://bucket/failing-run'
  google.failures, google.latency = 0.01, 0.05
  try:
    end(train(url))
  finally:
    google.failures = google.latency = 0.0
  assert state_of(url) == undisturbed


@pytest.mark.slow
def test_commands_read_and_write_buckets(google, machine, tmp_path):
  url = 'gs://bucket/tools'
  follower = train(url, '--mode=eval', '--follow')
  trained = end(train(url))
  scores = ('step', 'loss', 'top1', 'top5', 'count')
  trained = {key: trained[key] for key in scores}
  followed = end(follower)
  assert {key: followed[key] for key in scores} == trained
  evaluated = end(train(url, '--mode=eval', f'--output={url}-scores'))
  assert {key: evaluated[key] for key in scores} == trained
  by_path = end(
    train('', '--mode=eval', f'--checkpoint={url}/checkpoints/{STEPS}')
  )
  assert by_path == evaluated

  def tool(name, *args):
    done = commands.tool(name, *args)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path) not in done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])

  assert tool('verify', f'--workdir={url}')['sound'] == [8, 12, 16, 24]
  assert tool('report', url)['page'] == f'{url}/report/index.html'
  page = Bucket(url).read('report/index.html').content.decode()
  assert tempfile.gettempdir() not in page
  (run, scores) = tool('compare', url, f'{url}-scores')['runs']
  assert run['run'] == url and run['top1'] == scores['top1'] == trained['top1']
  export = ('--format=stablehlo', f'--output={url}-exports/tiny.stablehlo')
  exported = tool('export', f'--workdir={url}', *export)
  assert exported['output'] == f'{url}-exports/tiny.stablehlo'
  names = Bucket('gs://bucket').names('tools')
  assert {
    'tools/report/index.html',
    'tools-scores/predictions.csv',
    'tools-exports/tiny.stablehlo',
  } <= {*names}
  fine_tuned = end(
    train(tmp_path / 'tuned', f'--config.fine_tune.checkpoint={url}')
  )
  assert fine_tuned['step'] == STEPS


@pytest.mark.slow
def test_a_pod_trains_on_data_in_a_bucket(google, machine, tmp_path):
  soak_pod.write_images(tmp_path / 'data')
  uploads.upload(tmp_path / 'data', 'gs://bucket/images')
  url, local = 'gs://bucket/pod', str(tmp_path / 'local')
  data = {'data.source': 'folder', 'data.eval_split': 'validation'}
  args = lambda workdir, where: arguments(
    workdir, **{**CHANGES, **data, 'data.dir': where}
  )
  options = {'program': ('-m', 'tests.support.tiny'), 'prepare': often}
  end(commands.start(*args(local, tmp_path / 'data'), devices=8, **options))
  in_buckets = args(url, 'gs://bucket/images')
  four = Hosts(4).start(*in_buckets, devices=2, **options)
  wait_for(url, 'checkpoints/8/_CHECKPOINT_METADATA', four[0])
  four[1].kill()
  statuses = [status for status, _, _ in wait_all(four)]
  assert statuses == [75, -9, 75, 75]
  machine('second')
  for status, _, errors in wait_all(
    Hosts(2).start(*in_buckets, devices=4, **options)
  ):
    assert status == 0, errors
  (steps, _, lines), (expected, _, others) = state_of(url), state_of(local)
  assert steps == expected == [8, 12, 16, 24]
  assert [x['step'] for x in lines if x['split'] == 'train'] == [
    *range(1, STEPS + 1)
  ]
  for line, other in zip(lines, others, strict=True):
    assert line['step'] == other['step'] and line['split'] == other['split']
    assert line.get('count') == other.get('count')
    assert line['loss'] == pytest.approx(other['loss'], abs=1e-5)


def test_a_bucket_that_cannot_be_read_is_an_error(google, machine):
  for url, fault in (
    ('gs://B_/run', 'Invalid GCS bucket name'),
    ('gs://bucket/../run', 'lies outside'),
  ):
    assert fault in end(train(url), status=2)
    done = commands.tool('verify', f'--workdir={url}')
    assert done.returncode == 2 and fault in done.stderr
    assert len(done.stderr.splitlines()) == 1

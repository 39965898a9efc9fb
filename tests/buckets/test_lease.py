"""The lock in a bucket: one owner, who renews it, or else loses it."""

from concurrent import futures
import json
import os
import platform
import subprocess
import time

import pytest

from inception_jax.buckets import lease
from inception_jax.buckets.bucket import Bucket
from inception_jax.buckets.lease import Lease
from inception_jax.errors import RunError
from inception_jax.errors import UserError


@pytest.fixture
def folder(google, request):
  return Bucket(f'gs://bucket/{request.node.name}')


@pytest.fixture
def soon(monkeypatch):
  monkeypatch.setattr(lease, 'EXPIRES', 1.0)
  monkeypatch.setattr(lease, '_POLL', 0.1)


def left_by(folder, **owner):
  """Leaves a lock as a process that was killed does."""
  folder.write(lease.NAME, json.dumps({**lease._here(), **owner}).encode())


def ended_process():
  with subprocess.Popen(['true']) as process:
    return process.pid


def test_one_of_many_gets_it(folder, soon):
  refused = []

  def take(_):
    try:
      owner = Lease(folder)
    except UserError as error:
      refused.append(str(error))
      return str(error)
    while len(refused) < 7:
      owner.renew()
    return owner

  with futures.ThreadPoolExecutor(8) as executor:
    results = [*executor.map(take, range(8))]
  (owner,) = [x for x in results if isinstance(x, Lease)]
  who = f'process {os.getpid()} on {platform.node()}'
  (fault,) = {x for x in results if x is not owner}
  assert fault == f'{folder.url} is in use by another training, {who}'
  owner.check()
  owner.release()
  assert folder.read(lease.NAME) is None
  Lease(folder).check()


def test_a_lock_that_is_renewed_is_not_taken(folder, soon):
  owner = Lease(folder)
  with futures.ThreadPoolExecutor(1) as executor:
    other = executor.submit(Lease, folder)
    while not other.done():
      assert owner.renew()
      time.sleep(0.05)
  with pytest.raises(UserError, match='in use by another training'):
    other.result()
  owner.check()


def test_a_lock_that_nobody_renews_is_taken(folder, soon):
  left_by(folder, host='elsewhere', pid=1)
  other = Lease(folder)
  other.check()


def test_a_process_of_this_host_that_has_ended_is_not_waited_for(folder):
  left_by(folder, pid=ended_process())
  Lease(folder).check()  # would else take two minutes
  for damaged in (b'', b'{', b'[]', b'{"pid": "x"}', b'\xff'):
    assert not lease._has_ended(damaged)


def test_numbers_of_other_containers_mean_nothing(folder):
  content = json.dumps({**lease._here(), 'pid': ended_process()})
  assert lease._has_ended(content.encode())
  other = content.replace('pid:[', 'pid:[1')
  assert other != content and not lease._has_ended(other.encode())


def test_owner_notices_that_it_was_taken(folder):
  owner = Lease(folder)
  left_by(folder, pid=7, host='thief')
  assert not owner.renew()
  with pytest.raises(RunError, match=r'another training has .*7 on thief'):
    owner.check()
  owner.release()
  assert folder.read(lease.NAME)  # not the other's


def test_owner_stops_where_it_cannot_renew(folder, google, monkeypatch):
  monkeypatch.setattr(lease, '_SAFE', 0.2)
  owner = Lease(folder)
  owner.check()
  time.sleep(0.3)
  with pytest.raises(RunError, match='could not be kept locked'):
    owner.check()
  assert owner.renew()
  owner.check()


def test_is_renewed(folder, monkeypatch):
  monkeypatch.setattr(lease, 'RENEW', 0.2)
  assert not lease.is_renewed(folder)
  owner = Lease(folder)
  assert not lease.is_renewed(folder)
  with futures.ThreadPoolExecutor(1) as executor:
    found = executor.submit(lease.is_renewed, folder)
    while not found.done():
      owner.renew()
  assert found.result()


def test_a_repeated_request_is_no_other_owner(folder, monkeypatch):
  write = Bucket.write

  def twice(self, name, content, version=b''):
    write(self, name, content, version)
    return write(self, name, content, version)

  monkeypatch.setattr(Bucket, 'write', twice)
  owner = Lease(folder)
  owner.check()
  assert owner.renew()
  owner.release()
  assert folder.read(lease.NAME) is None

"""A lock in a bucket: one owner, who renews it, or else loses it.

An object that is written only if it is still the version that was read. Clocks
are not compared: a lease whose object does not change while someone watches it
for `EXPIRES` seconds is nobody's.
"""

import contextlib
import json
import logging
import os
import pathlib
import platform
import time
import uuid

from inception_jax import inputs
from inception_jax.buckets.bucket import Bucket
from inception_jax.errors import RunError
from inception_jax.errors import UserError

log = logging.getLogger(__name__)

NAME = '.lock'
RENEW = 10.0  # seconds between renewals
EXPIRES = 120.0
# Its owner stops a little earlier.
_SAFE = 100.0
_POLL = 2.0


class Lease:
  """The lock of a folder in a bucket, taken; `release` it."""

  def __init__(self, bucket: Bucket):
    """Takes it; waits for one that may be left of a process that was killed.

    Raises:
      UserError: another process renews it.
      RunError: the bucket cannot be read or written.
    """
    self._bucket, self._renewals, self._lost = bucket, 0, ''
    self._owner = {**_here(), 'pid': os.getpid(), 'id': uuid.uuid4().hex}
    version = bucket.version(NAME)
    found = bucket.read(NAME)
    if found and not _has_ended(found.content):
      version = self._wait(found.version)
    self._version, self._renewed = version, time.monotonic()
    if not self._write():
      raise UserError(self._in_use())

  def _wait(self, version: bytes) -> bytes:
    """Waits until it has not been renewed for `EXPIRES` seconds, or is free.

    Returns its version.
    """
    log.info(
      '%s is locked%s; waiting %.0f seconds to see whether it still runs',
      *(self._bucket.url, self._who(), EXPIRES),
    )
    deadline = time.monotonic() + EXPIRES
    while time.monotonic() < deadline:
      time.sleep(_POLL)
      if (now := self._bucket.version(NAME)) != version:
        if self._bucket.read(NAME):
          raise UserError(self._in_use())
        return now  # it was released
    return version

  def renew(self) -> bool:
    """Renews it; returns whether it is still this process's."""
    try:
      if not self._write():
        self._lost = (
          f'another training has started in {self._bucket.url}{self._who()}'
        )
    except RunError as error:
      log.warning('%s', error)
    return not self._lost

  def _write(self) -> bool:
    """Writes it anew; returns whether it is this process's."""
    now = time.monotonic()
    version = self._bucket.write(NAME, self._content(), self._version)
    if not version:
      # A repeated request may have been carried out the first time.
      found = self._bucket.read(NAME)
      if not found or _parse(found.content).get('id') != self._owner['id']:
        return False
      version = found.version
    self._version, self._renewed = version, now
    return True

  def check(self) -> None:
    """Raises RunError if it is not this process's any more, or may be lost."""
    if self._lost:
      raise RunError(self._lost)
    if time.monotonic() - self._renewed > _SAFE:
      raise RunError(
        f'{self._bucket.url} could not be kept locked: its lock was not '
        f'renewed for {_SAFE:.0f} seconds'
      )

  def release(self) -> None:
    """Gives it back."""
    self._bucket.delete([NAME], self._version)

  def _content(self) -> bytes:
    self._renewals += 1
    return json.dumps({**self._owner, 'renewals': self._renewals}).encode()

  def _in_use(self) -> str:
    return f'{self._bucket.url} is in use by another training{self._who()}'

  def _who(self) -> str:
    found = self._bucket.read(NAME)
    owner = _parse(found.content) if found else {}
    if not owner:
      return ''
    return f', process {owner.get("pid")} on {owner.get("host")}'


def is_renewed(bucket: Bucket) -> bool:
  """Returns whether a process holds the lease and renews it; takes seconds."""
  found = bucket.read(NAME)
  if not found or _has_ended(found.content):
    return False
  time.sleep(1.5 * RENEW)
  return bucket.read(NAME, unless=found.version) is not None


def _parse(content: bytes) -> dict:
  try:
    owner = inputs.parse_json(content)
  except ValueError:
    return {}
  return owner if isinstance(owner, dict) else {}


def _has_ended(content: bytes) -> bool:
  """Returns whether the owner was a process of this host that is gone."""
  owner = _parse(content)
  pid, here = owner.get('pid'), _here()
  if type(pid) is not int or pid <= 0 or not here.items() <= owner.items():
    return False
  return 'boot' in here and not pathlib.Path('/proc', str(pid)).exists()


def _here() -> dict[str, str]:
  """Returns what names the processes whose numbers mean the same as here."""
  here = {'host': platform.node()}
  with contextlib.suppress(OSError):  # only Linux has these
    boot = pathlib.Path('/proc/sys/kernel/random/boot_id').read_text()
    here |= {'boot': boot.strip(), 'pids': os.readlink('/proc/self/ns/pid')}
  return here

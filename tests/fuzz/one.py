"""Fuzzes one target by atheris; started by `tests.fuzz.run`.

python -m tests.fuzz.one TARGET FOLDER FLAG…: FOLDER has corpus/ and findings/,
the flags are libFuzzer's. A finding does not end the run, unless the process
itself ends.
"""

import hashlib
import importlib
import logging
import pathlib
import re
import resource
import sys
import tempfile

import atheris

_MAX_ADDED_BYTES = 2**33  # of address space: ends what would end the machine
_INSTRUMENTED = ['inception_jax', 'tarfile', 'zipfile', 'pickletools', 'json']


def main(name: str, folder: str, *flags: str) -> None:
  with atheris.instrument_imports(include=_INSTRUMENTED):
    targets = importlib.import_module('tests.fuzz.targets')
  # Not `from tests.fuzz import`: what it imports would not be instrumented.
  bounds = importlib.import_module('tests.fuzz.bounds')
  target = targets.TARGETS[name]
  corpus, findings = (pathlib.Path(folder, x) for x in ('corpus', 'findings'))
  seeds = [*target.seeds(), *target.hostile()]
  for seed in seeds:
    (corpus / hashlib.sha1(seed).hexdigest()).write_bytes(seed)
  # Keys of JSON, for mutations to insert.
  words = {word for seed in seeds for word in re.findall(rb'"(\w+)"', seed)}
  lines = ['x="x"', *(f'"\\"{word.decode()}\\""' for word in sorted(words))]
  (pathlib.Path(folder) / 'words').write_text('\n'.join(lines))
  logging.disable()
  known = set()
  with tempfile.TemporaryDirectory() as scratch:

    def run(content: bytes) -> None:
      for text in bounds.breaches(target, content, pathlib.Path(scratch, 'x')):
        key = hashlib.sha1(_place(text).encode()).hexdigest()
        if key not in known:
          known.add(key)
          (findings / key).write_bytes(content)
          (findings / f'{key}.txt').write_text(text)

    for seed in seeds:  # what is made once is not part of an input's memory
      run(seed)
    (now,) = re.findall(
      r'VmSize:\s*(\d+)', pathlib.Path('/proc/self/status').read_text()
    )
    most = 1024 * int(now) + _MAX_ADDED_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    atheris.Setup(
      [
        sys.argv[0],
        str(corpus),
        f'-dict={folder}/words',
        f'-artifact_prefix={findings}/',
        *flags,
      ],
      run,
    )
    atheris.Fuzz()


def _place(text: str) -> str:
  """Returns where the code failed and by which exception: one finding each."""
  *_, last = text.rstrip().splitlines()
  frames = re.findall(r'^ +File .*', text, re.M)
  return f'{frames[-1:]} {re.sub("[0-9]+", "", last.partition(":")[0])}'


if __name__ == '__main__':
  main(*sys.argv[1:])

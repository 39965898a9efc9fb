"""Readers of JSON and YAML: files of a run, metadata, configs, messages."""

import contextlib
import functools
import json
import shutil
import socket
import tempfile

import jax
import numpy as np

from configs import default
from inception_jax.checkpointing import checkpoint
from inception_jax.checkpointing import compatibility
from inception_jax.checkpointing import digests
from inception_jax.checkpointing.directory import CheckpointDirectory
from inception_jax.checkpointing.manager import CheckpointManager
from inception_jax.config import serialization
from inception_jax.config.migration import migration as migration_lib
from inception_jax.config.migration import mindcv
from inception_jax.config.migration import mindspore
from inception_jax.config.migration import yaml_file
from inception_jax.data.splits import Indexed
from inception_jax.distributed import fingerprint
from inception_jax.distributed import rendezvous
from inception_jax.distributed import sharding
from inception_jax.distributed.cluster import ProcessInfo
from inception_jax.distributed.connection import Connection
from inception_jax.evaluation import labels
from inception_jax.export import metadata as export_metadata
from inception_jax.models import card
from inception_jax.models import factory
from inception_jax.models import metadata
from inception_jax.report import comparing
from inception_jax.runtime import metrics_file
from tests.fuzz.bounds import Target
from tests.support.checkpoints import make_state
from tests.support.tiny import tiny_config

_CLASSES = ('cat', 'dog', 'hare')


def _hostile():
  # Nested deeper than Python's stack; a number that int() refuses.
  return [b'[' * 5000, b'1' * 5000, b'{"step": ' * 2000]


def _write(content, folder, name: str) -> str:
  (folder / name).write_bytes(content)
  return str(folder / name)


_SPLIT = Indexed(
  3, _CLASSES, None, [f'val/{name}/0.png' for name in _CLASSES].__getitem__
)


def _read_labels(content, folder):
  path = _write(content, folder, 'labels.json')
  made = labels.make_labels(_SPLIT, 3, _CLASSES, labels_file=path)
  made(np.arange(4), np.zeros(4, np.int32))


def _read_classes(content, folder):
  path = _write(content, folder, 'classes.txt')
  labels.make_labels(_SPLIT, 3, _CLASSES, classes_file=path)


def _label_seeds():
  values = (
    ['cat', 1, ['dog', '2']],
    {'0.png': 'cat', 'val/dog/0.png': ['dog', 2], 'other': 0},
  )
  return [*(json.dumps(x).encode() for x in values), b'cat\n\n2\n']


def _about():
  config = _config()
  return metadata.to_dict(
    factory.network_config(config, 3), card.from_config(config.data), _CLASSES
  )


def _read_metadata(content, _):
  try:
    text = content.decode()
  except UnicodeDecodeError:
    return  # every format stores a string
  export_metadata.from_json(text, 'x.onnx')


def _metadata_seeds():
  values = {**_about(), 'version': 1, 'step': 7, 'parameters': '00', 'jax': '1'}
  return [json.dumps(values).encode()]


def _read_metrics(content, folder):
  _write(content, folder, metrics_file.NAME)
  metrics_file.read(str(folder))


def _compare_metrics(content, folder):
  _write(content, folder, metrics_file.NAME)
  comparing.compare([str(folder)])


def _compare_summary(content, folder):
  for name in ('evaluation.json', 'config.json'):
    _write(content, folder, name)
  _write(b'image,top1,probability_1\nx,1,0.5\n', folder, 'predictions.csv')
  comparing.compare([str(folder)])


def _metrics_seeds():
  scores = {'loss': 0.5, 'top1': 0.5, 'top5': 1.0, 'count': 2}
  lines = [
    {'step': 1, 'split': 'train', 'loss': 1.5, 'top1': 0.0, 'top5': None},
    {'step': 2, 'split': 'eval', **scores},
    {'step': 2, 'split': 'eval_raw', **scores},
  ]
  summary = {'result': {'step': 2, **scores}, 'seed': 0}  # and a config
  text = ''.join(json.dumps(line) + '\n' for line in lines)
  return [text.encode(), json.dumps(summary).encode()]


def _read_config(content, _):
  serialization.from_json(content.decode(), default.get_config())


def _config_seeds():
  return [serialization.to_json(default.get_config()).encode()]


def _read_yaml(content, _):
  """Reads a config of another system; what comes of it is Python."""
  values = yaml_file.parse(content, 'x.yaml')
  for system in (mindspore, mindcv):
    if system.is_dialect(values):
      migration = system.migrate(values, 1)
      text = migration_lib.recipe(migration, 'x.yaml', 'x.py')
      compile(text.encode(errors='backslashreplace'), 'x.py', 'exec')


def _yaml_seeds():
  return [
    b'epoch_size: 3\nlr_max: 0.5\nopt_eps: 1.0\nbatch_size: 8\n'
    b"ds_type: 'cifar10'\ndecay_method: steps\nresume: 'a'\n---\na: b\n",
    b'model: inception_v3\nlr: 1e-3\nscale: [0.1, 1]\nopt: rmsprop\n'
    b'scheduler: step_decay\ndecay_epochs: 2\nauto_augment: autoaug-mstd0.5\n'
    b'amp_level: O2\nmean: [1, 2, 3]\nnum_classes: null\nx: {a: 1}\n',
  ]


def _hostile_yaml():
  aliases = b''.join(
    b'a%d: &a%d [*a%d, *a%d]\n' % (i, i, i - 1, i - 1) for i in range(1, 40)
  )
  return [
    b'a: ' + b'[' * 5000,
    b'a0: &a0 [1]\n' + aliases,
    b'a: ' + b'9' * 5000,
  ]


@functools.cache
def _config():
  return factory.resolve(tiny_config())


@functools.cache
def _checkpoints():
  """Returns a temporary folder with the checkpoint of step 1."""
  folder = tempfile.TemporaryDirectory()
  mesh = sharding.make_mesh(jax.devices()[:1])
  config = json.loads(serialization.to_json(_config()))
  with CheckpointManager(folder.name) as checkpoints:
    checkpoints.save(make_state(1, mesh), {'top1': 0.5}, _about(), config)
  return folder


def _read_record(content, folder):
  """Reads the input as a record, or as the values of one, with a digest."""
  with contextlib.suppress(ValueError, RecursionError):
    content = json.dumps(digests.with_digest(json.loads(content))).encode()
  shutil.copytree(_checkpoints().name, folder / 'checkpoints')
  directory = CheckpointDirectory(folder / 'checkpoints')
  (directory.path(1) / 'record' / 'metadata').write_bytes(content)
  best = directory.candidates('best')
  record = directory.record(*best)
  metadata.from_dict(record['network'], folder)
  compatibility.check(_config(), _CLASSES, {}, record, 'runs/x', False)
  directory.read_first_sound([1], checkpoint.state_fields)


def _record_seeds():
  record = CheckpointDirectory(_checkpoints().name).record(1)
  return [json.dumps(record).encode()]


@functools.cache
def _own():
  process = ProcessInfo('localhost:1', 2, 0)
  return fingerprint.fingerprint(process, _config(), 'gs://bucket/run')


def _read_message(content, _):
  """Reads the input as what a connection sends, signed where it is JSON."""
  ours, theirs = socket.socketpair()
  with theirs, contextlib.closing(Connection(ours, 'process 1')) as connection:
    try:
      message = json.loads(content)
      Connection(theirs, 'process 0').send(**message)
    except (ValueError, TypeError, RecursionError):
      theirs.sendall(content)
      theirs.shutdown(socket.SHUT_WR)
    message = connection.receive(1.0)
    if rendezvous._is_process(message, _own(), _config()):
      fingerprint.compare(_own(), _config(), {1: message})


def _message_seeds():
  return [json.dumps(_own()).encode()]


TARGETS = {
  'labels': Target(
    (_read_labels, _read_classes), _label_seeds, hostile=_hostile
  ),
  'metadata': Target((_read_metadata,), _metadata_seeds, hostile=_hostile),
  'metrics': Target(
    (_read_metrics, _compare_metrics, _compare_summary),
    _metrics_seeds,
    hostile=_hostile,
  ),
  'config': Target(
    (_read_config,),
    _config_seeds,
    # Those that `tools.report` catches.
    (ValueError, TypeError, LookupError, AttributeError),
    _hostile,
  ),
  'yaml': Target((_read_yaml,), _yaml_seeds, hostile=_hostile_yaml),
  'record': Target((_read_record,), _record_seeds, hostile=_hostile),
  'rendezvous': Target((_read_message,), _message_seeds, (OSError,), _hostile),
}

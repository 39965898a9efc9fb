"""The device mesh, and the shardings of states and batches on it."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from concurrent import futures
import functools

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec
import numpy as np

DATA_AXIS = 'data'


def jit_init(init, shardings):
  """Jits `init`, without arguments, so that arrays are created as sharded.

  `shardings` is a tree like its result, or one sharding for all arrays.
  """
  device = jax.tree.leaves(shardings)[0].mesh.devices.flat[0]
  # It runs once: on a CPU, optimizing it would take longer than running it.
  unoptimized = {'xla_backend_optimization_level': 0}
  return jax.jit(
    init,
    out_shardings=shardings,
    compiler_options=unoptimized if device.platform == 'cpu' else None,
  )


def make_mesh(devices: Sequence[jax.Device] | None = None) -> jax.sharding.Mesh:
  """Returns a mesh with one axis, 'data', over `devices` (default: all)."""
  devices = jax.devices() if devices is None else devices
  # Sorted by process, so that each process reads contiguous rows.
  devices = sorted(devices, key=lambda d: (d.process_index, d.id))
  return jax.sharding.Mesh(
    np.array(devices),
    (DATA_AXIS,),
    # Auto, since linen's dropout cannot be traced under Explicit axes.
    axis_types=(jax.sharding.AxisType.Auto,),
  )


def replicated(mesh: jax.sharding.Mesh) -> NamedSharding:
  """Returns the sharding with the whole array on every device."""
  return NamedSharding(mesh, PartitionSpec())


def batch(mesh: jax.sharding.Mesh) -> NamedSharding:
  """Returns the sharding of the first axis over the devices."""
  return NamedSharding(mesh, PartitionSpec(DATA_AXIS))


def shard_longest_axis(
  mesh: jax.sharding.Mesh, shape: Sequence[int]
) -> NamedSharding:
  """Shards the longest axis that the devices divide; replicates if none."""
  axes = [i for i, size in enumerate(shape) if size and not size % mesh.size]
  if not axes:
    return replicated(mesh)
  longest = max(axes, key=lambda i: shape[i])
  return NamedSharding(mesh, PartitionSpec(*[None] * longest, DATA_AXIS))


def replicate(mesh: jax.sharding.Mesh, tree):
  """Returns the tree with every array replicated."""
  return _replicate_fn(mesh)(tree)


@functools.cache
def _replicate_fn(mesh: jax.sharding.Mesh):
  # One program for the tree: processes might run several in different orders,
  # and deadlock. Cached, since jax caches compilations by function.
  return jax.jit(lambda tree: tree, out_shardings=replicated(mesh))


def host_rows(batch_size: int) -> range:
  """Returns the rows of the global batch that this process reads."""
  per_process = batch_size // jax.process_count()
  start = per_process * jax.process_index()
  return range(start, start + per_process)


def prefetch_to_devices(
  mesh: jax.sharding.Mesh, batches: Iterator[dict[str, np.ndarray]]
) -> Iterator[dict[str, jax.Array]]:
  """Yields `batches` as global arrays; reads one batch ahead, in a thread.

  The first batch is read from this call on, for example while a training step
  compiles. An error of reading is raised where its batch is due.
  """
  arrays = (to_global(mesh, rows) for rows in batches)
  reader = futures.ThreadPoolExecutor(1, thread_name_prefix='batches')

  def yield_batches(ahead):
    with reader:
      while batch := ahead.result():
        ahead = reader.submit(next, arrays, None)
        yield batch

  return yield_batches(reader.submit(next, arrays, None))


def to_global(mesh: jax.sharding.Mesh, rows: dict[str, np.ndarray]):
  """Returns global arrays, made of this process's rows and the others'."""
  return {
    key: jax.make_array_from_process_local_data(batch(mesh), value)
    for key, value in rows.items()
  }


def any_process(mesh: jax.sharding.Mesh) -> Callable[[bool], bool]:
  """Returns a function that tells whether its argument is true in any process.

  All processes must call it equally often, and get the same answer. With more
  than one process that is the answer to the previous call, so that no process
  waits for the devices.
  """
  if jax.process_count() == 1:
    return lambda value: value
  any_of = jax.jit(jnp.any, out_shardings=replicated(mesh))
  answers = []

  def ask(value: bool) -> bool:
    rows = {'value': np.full(len(mesh.local_devices), value)}
    answers.append(any_of(to_global(mesh, rows)['value']))
    return len(answers) > 1 and bool(answers.pop(0))

  return ask


def round_up(batch_size: int, mesh: jax.sharding.Mesh) -> int:
  """Rounds `batch_size` up to a multiple of the number of devices."""
  return -(-batch_size // mesh.size) * mesh.size


def check(config, num_devices: int) -> list[str]:
  """Returns a fault if the batch size does not divide over the devices."""
  parts = num_devices * config.gradient_accumulation
  lower = config.batch_size // parts * parts
  if lower == config.batch_size:
    return []
  near = [str(n) for n in (lower, lower + parts) if n]
  times = f'{config.gradient_accumulation} times ' * (parts != num_devices)
  return [
    f'batch_size={config.batch_size} does not divide over {times}'
    f'{num_devices} devices; nearest that do: {", ".join(near)}'
  ]

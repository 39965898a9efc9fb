"""The device mesh, and how states and batches lie on it."""

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


def jit_init(init, shardings):
  """Compiles `init` so that every leaf is born where it belongs.

  Args:
    init: takes nothing, returns a tree of arrays.
    shardings: a tree like it, or one for all of it.
  """
  device = jax.tree.leaves(shardings)[0].mesh.devices.flat[0]
  # It runs once: on a CPU, optimising it would take longer than it ever will.
  hasty = {'xla_backend_optimization_level': 0}
  return jax.jit(
    init,
    out_shardings=shardings,
    compiler_options=hasty if device.platform == 'cpu' else None,
  )


DATA_AXIS = 'data'


def make_mesh(devices: Sequence[jax.Device] | None = None) -> jax.sharding.Mesh:
  """A mesh with one axis, 'data', over `devices` (all, unless given)."""
  devices = jax.devices() if devices is None else devices
  # In the order of the processes, so that each reads neighbouring rows.
  devices = sorted(devices, key=lambda d: (d.process_index, d.id))
  return jax.sharding.Mesh(
    np.array(devices),
    (DATA_AXIS,),
    # Auto, since linen's dropout cannot be traced under Explicit axes.
    axis_types=(jax.sharding.AxisType.Auto,),
  )


def replicated(mesh: jax.sharding.Mesh) -> NamedSharding:
  """Every device holds the whole array."""
  return NamedSharding(mesh, PartitionSpec())


def batch(mesh: jax.sharding.Mesh) -> NamedSharding:
  """The first axis is split over the devices."""
  return NamedSharding(mesh, PartitionSpec(DATA_AXIS))


def split_evenly(
  mesh: jax.sharding.Mesh, shape: Sequence[int]
) -> NamedSharding:
  """The longest axis that divides is split over the devices, if one does."""
  axes = [i for i, size in enumerate(shape) if size and not size % mesh.size]
  if not axes:
    return replicated(mesh)
  longest = max(axes, key=lambda i: shape[i])
  return NamedSharding(mesh, PartitionSpec(*[None] * longest, DATA_AXIS))


def replicate(mesh: jax.sharding.Mesh, tree):
  """The tree with every array whole on each device."""
  return _replicating(mesh)(tree)


@functools.cache
def _replicating(mesh: jax.sharding.Mesh):
  # One program: of several at once, processes may not run the same one first,
  # and would wait for each other for ever. Kept, since jax knows what it has
  # compiled by the function.
  return jax.jit(lambda tree: tree, out_shardings=replicated(mesh))


def host_rows(batch_size: int) -> range:
  """The rows of the global batch that this process reads."""
  per_process = batch_size // jax.process_count()
  start = per_process * jax.process_index()
  return range(start, start + per_process)


def on_devices(
  mesh: jax.sharding.Mesh, batches: Iterator[dict[str, np.ndarray]]
) -> Iterator[dict[str, jax.Array]]:
  """`batches` as global arrays, the next one read while one is used.

  The first is read from this call on, so that it is there when what is to take
  it has been compiled. What reading raises is raised where its batch is due.
  """
  reader = futures.ThreadPoolExecutor(1, thread_name_prefix='batches')

  def read():
    rows = next(batches, None)
    return rows and to_global(mesh, rows)

  ahead = reader.submit(read)

  def ready(ahead):
    with reader:
      while batch := ahead.result():
        ahead = reader.submit(read)
        yield batch

  return ready(ahead)


def to_global(mesh: jax.sharding.Mesh, rows: dict[str, np.ndarray]):
  """Puts this process's rows on its devices, as its part of global arrays."""
  return {
    key: jax.make_array_from_process_local_data(batch(mesh), value)
    for key, value in rows.items()
  }


def any_process(mesh: jax.sharding.Mesh) -> Callable[[bool], bool]:
  """A question that all processes answer alike, and call equally often.

  Returns:
    Takes what this process says; gives whether any said yes. With more than
    one process that is the answer to the call before, so that none waits for
    the devices.
  """
  if jax.process_count() == 1:
    return lambda says: says
  any_of = jax.jit(jnp.any, out_shardings=replicated(mesh))
  answers = []

  def ask(says: bool) -> bool:
    rows = {'says': np.full(len(mesh.local_devices), says)}
    answers.append(any_of(to_global(mesh, rows)['says']))
    return len(answers) > 1 and bool(answers.pop(0))

  return ask


def round_up(batch_size: int, mesh: jax.sharding.Mesh) -> int:
  """The least multiple of the number of devices that is ≥ `batch_size`."""
  return -(-batch_size // mesh.size) * mesh.size


def check(config, num_devices: int) -> list[str]:
  """Faults of the batch against the devices it is to be split over."""
  parts = num_devices * config.gradient_accumulation
  if config.batch_size % parts:
    lower = config.batch_size // parts * parts
    near = [str(n) for n in (lower, lower + parts) if n]
    times = f'{config.gradient_accumulation} times ' * (parts != num_devices)
    return [
      f'batch_size={config.batch_size} does not divide over {times}'
      f'{num_devices} devices; nearest that do: {", ".join(near)}'
    ]
  return []

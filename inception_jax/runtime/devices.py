"""Which of jax's devices a run uses."""

from collections.abc import Sequence

import jax

from inception_jax.errors import UserError
from inception_jax.errors import one_line

# A host needs its CPU device, too.
_PLATFORMS = {'cpu': 'cpu', 'gpu': 'cuda,cpu', 'tpu': 'tpu,cpu'}


def parse_ids(values: Sequence[str]) -> tuple[int, ...]:
  """Returns the numbers of --device_ids.

  Raises:
    UserError: they are no numbers, or one is there twice.
  """
  given = ','.join(values)
  if not all(x.isascii() and x.isdecimal() and len(x) < 9 for x in values):
    raise UserError(
      f'--device_ids={given}: expected numbers, as --device_ids=0,1'
    )
  ids = tuple(map(int, values))
  if len(set(ids)) < len(ids):
    raise UserError(f'--device_ids={given}: a device is named twice')
  return ids


def restrict(kind: str | None, ids: Sequence[int]) -> None:
  """Restricts jax to these devices; to be called before it sees any.

  Args:
    kind: 'cpu', 'gpu' or 'tpu', in place of $JAX_PLATFORMS; None: as it says.
    ids: of the devices; (): all.
  """
  if kind:
    jax.config.update('jax_platforms', _PLATFORMS[kind])
  if ids:
    # Else jax would take memory of the other GPUs.
    visible = ','.join(map(str, ids))
    jax.config.update('jax_cuda_visible_devices', visible)


def chosen(kind: str | None, ids: Sequence[int]) -> list[jax.Device]:
  """Returns the devices that jax was restricted to, of all processes.

  Raises:
    UserError: there are none such.
  """
  try:
    found = jax.devices()
  except Exception as error:  # as of each platform's library
    if not (kind or ids):
      raise
    flags = [f'--devices={kind}'] * bool(kind)
    flags += [f'--device_ids={",".join(map(str, ids))}'] * bool(ids)
    raise UserError(f'{" ".join(flags)}: {one_line(error)}') from error
  platform = found[0].platform
  if kind and platform != kind:
    raise UserError(
      f'--devices={kind}: jax finds none, only {platform} devices; see '
      'docs/installation.md'
    )
  # jax numbers the GPUs that it sees anew.
  if not ids or platform == 'gpu':
    return found
  by_id = {device.local_hardware_id: device for device in found}
  if missing := [str(i) for i in ids if i not in by_id]:
    raise UserError(
      f'--device_ids: there is no {platform} device {", ".join(missing)}; '
      f'there are {", ".join(map(str, sorted(by_id)))}'
    )
  devices = [by_id[i] for i in ids]
  # Where arrays go that are not of the mesh.
  jax.config.update('jax_default_device', devices[0])
  return devices

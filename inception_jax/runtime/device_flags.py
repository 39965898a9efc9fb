"""The flags --devices and --device_ids, of every command that computes.

A command imports this module, adopts its flags so that --help lists them, and
calls `choose` before anything uses a device.
"""

from absl import flags

from inception_jax.errors import UserError

_DEVICES = flags.DEFINE_enum(
  'devices', None, ['cpu', 'gpu', 'tpu'], 'What computes; default: jax chooses.'
)
_IDS = flags.DEFINE_list(
  'device_ids', [], 'Numbers of the devices to use, as 0,1; default: all.'
)


def restrict(several_processes: bool = False) -> None:
  """Restricts jax to the devices of the flags; before it sees any.

  Raises:
    UserError: --device_ids are no numbers, or there are `several_processes`.
  """
  from inception_jax.runtime import devices  # jax takes seconds to import

  ids = devices.parse_ids(_IDS.value)
  if ids and several_processes:
    raise UserError(
      '--device_ids is for one process; where there are several, their '
      'launcher assigns devices'
    )
  devices.restrict(_DEVICES.value, ids)


def chosen() -> list:
  """Returns the devices that `restrict` left: a list of jax.Device.

  Raises:
    UserError: there are none such.
  """
  from inception_jax.runtime import devices

  return devices.chosen(_DEVICES.value, devices.parse_ids(_IDS.value))


def choose() -> list:
  """Restricts jax to the devices of the flags, and returns them.

  Raises:
    UserError: as of `restrict` and `chosen`.
  """
  restrict()
  return chosen()

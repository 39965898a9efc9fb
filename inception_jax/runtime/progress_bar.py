"""Progress bars and readable durations."""

import tqdm

from inception_jax.runtime.process import is_primary


def progress_bar(
  total: int, description: str, unit: str, initial: int = 0
) -> tqdm.tqdm:
  """Returns a progress bar with the time left, disabled without a terminal."""
  return tqdm.tqdm(
    total=total,
    desc=description,
    unit=f' {unit}',
    initial=initial,
    leave=False,
    dynamic_ncols=True,
    disable=None if is_primary() else True,
  )


def format_duration(seconds: float) -> str:
  """Returns '2:03:04' or '3:04'; tqdm's would be '03:04'."""
  minutes, seconds = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  if hours:
    return f'{hours}:{minutes:02}:{seconds:02}'
  return f'{minutes}:{seconds:02}'

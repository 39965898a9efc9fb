"""Progress bars and durations for people."""

import jax
import tqdm


def progress_bar(
  total: int, what: str, unit: str, initial: int = 0
) -> tqdm.tqdm:
  """A progress bar with the time left, on a terminal; elsewhere `disable`d."""
  return tqdm.tqdm(
    total=total,
    desc=what,
    unit=f' {unit}',
    initial=initial,
    leave=False,
    dynamic_ncols=True,
    disable=None if jax.process_index() == 0 else True,
  )


def format_duration(seconds: float) -> str:
  """'2:03:04' or '3:04'."""
  minutes, seconds = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  if hours:
    return f'{hours}:{minutes:02}:{seconds:02}'
  return f'{minutes}:{seconds:02}'

"""Fréchet inception distance and its relatives, of features of two sets.

Commands and their flags do not belong here.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
  from inception_jax.fid.statistics import Statistics as Statistics

__all__ = ['Statistics']


if not TYPE_CHECKING:  # with which type checkers would take any name

  def __getattr__(name: str):
    """Loads JAX only for those who ask for the class."""
    if name != 'Statistics':
      raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    from inception_jax.fid import statistics

    return statistics.Statistics

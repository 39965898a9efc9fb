"""Which output of a network is which class of a dataset."""

from collections.abc import Sequence
import logging
import re

from inception_jax import errors
from inception_jax import inputs
from inception_jax.data.prepare import imagenet
from inception_jax.errors import UserError

log = logging.getLogger(__name__)

_SYNSET = re.compile(r'n\d{8}')


def names(
  known: Sequence[str], given: Sequence[str], num_outputs: int
) -> tuple[str, ...]:
  """Returns the names of a network's outputs, as far as they are known.

  Of weights without names, output N is the class N of a dataset whose classes
  are numbers, and 1000 outputs are ImageNet's classes, in the order of their
  synsets, for a dataset whose classes are some of these.

  Args:
    known: names that are stored with the weights.
    given: the dataset's classes.
    num_outputs: of the network.
  """
  numbers = {inputs.parse_number(name): name for name in given}
  if known or not given:
    return tuple(known)
  if len(numbers) == len(given) and numbers.keys() <= set(range(num_outputs)):
    return tuple(numbers.get(i, str(i)) for i in range(num_outputs))
  if num_outputs == imagenet.CLASSES and all(map(_SYNSET.fullmatch, given)):
    synsets = imagenet.synsets()
    return synsets if set(given) <= set(synsets) else ()
  return ()


def match(given: Sequence[str], known: Sequence[str]) -> list[int] | None:
  """Returns the output for each class of a dataset; None: the same number.

  Args:
    given: the dataset's classes.
    known: names of the outputs, as far as they are known.

  Raises:
    UserError: some of the classes have no output.
  """
  if not known or tuple(given) == tuple(known):
    return None
  by_name = {name: i for i, name in enumerate(known)}
  unknown = [name for name in given if name not in by_name]
  if not unknown and _are_unique(given, known):
    log.info('matching classes by name with the outputs')
    return [by_name[name] for name in given]
  if len(given) == len(known) and (
    len(unknown) == len(given) or not _are_unique(given, known)
  ):
    log.warning('classes have other names than in training: matched by number')
    return None
  raise UserError(
    f'{len(unknown)} of {len(given)} classes were not trained:',
    *errors.shorten([f'  {name}' for name in unknown]),
  )


def order(
  given: Sequence[str], known: Sequence[str], num_outputs: int
) -> list[int] | None:
  """Returns which trained output becomes each output of a new training.

  The outputs of the dataset's classes come first, as training numbers them,
  then all others. None: each stays, since it is in its place already, or not
  every class has an output.

  Args: as `names`.
  """
  known = names(known, given, num_outputs)
  by_name = {name: i for i, name in enumerate(known)}
  if not (given and set(given) <= by_name.keys() and _are_unique(given, known)):
    return None
  first = [by_name[name] for name in given]
  new = first + sorted(set(range(num_outputs)) - set(first))
  return None if new == list(range(num_outputs)) else new


def _are_unique(*lists: Sequence[str]) -> bool:
  return all(len(set(values)) == len(values) for values in lists)

"""The networks by name, with what is known of them."""

from collections.abc import Iterable
import dataclasses
import fnmatch

from inception_jax.errors import UserError
from inception_jax.models import architectures
from inception_jax.models.architectures import ARCHITECTURES
from inception_jax.models.card import Card
from inception_jax.models.figures import FIGURES
from inception_jax.models.figures import Accuracy
from inception_jax.weights.sources import SOURCES


@dataclasses.dataclass(frozen=True)
class ModelInfo:
  """A network as published.

  Attributes:
    name: as `create_model` takes it.
    input_size: height and width of its images in pixels.
    num_classes: that of `parameters`.
    parameters: trained ones, without the auxiliary head.
    parameters_with_aux_head: None: it has no such head.
    flops: of one image's forward pass; a multiplication and an addition are
      two.
    accuracies: as published, each with its source. None of them has been
      measured by this project.
    weights: the frameworks whose weights of it can be loaded.
    stages: names of its outputs, as `features` has them.
    card: how its images are prepared.
  """

  name: str
  input_size: int
  num_classes: int
  parameters: int
  parameters_with_aux_head: int | None
  flops: float
  accuracies: tuple[Accuracy, ...]
  weights: tuple[str, ...]
  stages: tuple[str, ...]
  card: Card


def list_models(
  pattern: str | Iterable[str] = '*', weights: str = ''
) -> list[str]:
  """Returns the names of the networks, in the order of the README's table.

  Args:
    pattern: such as 'cifar_*', or several of them.
    weights: a framework, such as 'timm': only networks whose weights of it can
      be loaded; '': all.

  Raises:
    UserError: there is no such framework.
  """
  frameworks = dict.fromkeys(source.framework for source in SOURCES)
  if weights and weights not in frameworks:
    raise UserError(
      f'weights={weights!r}: expected one of {", ".join(frameworks)}'
    )
  patterns = [pattern] if isinstance(pattern, str) else list(pattern)
  return [
    name
    for name in ARCHITECTURES
    if any(fnmatch.fnmatchcase(name, each) for each in patterns)
    and (not weights or weights in _frameworks(name))
  ]


def model_info(name: str) -> ModelInfo:
  """Returns what is known of a network.

  Raises:
    UserError: there is no such network.
  """
  architectures.check_name(name)
  architecture, figures = ARCHITECTURES[name], FIGURES[name]
  table = next(iter(architecture.stems.values())) + architecture.body
  return ModelInfo(
    name=name,
    input_size=architecture.card.input_size,
    weights=_frameworks(name),
    stages=tuple(stage for stage, _ in table),
    card=architecture.card,
    **vars(figures),
  )


def _frameworks(name: str) -> tuple[str, ...]:
  found = [x.framework for x in SOURCES if x.network_name == name]
  return tuple(dict.fromkeys(found))

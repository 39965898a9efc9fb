"""Ends a training that is no longer one of numbers, and says where it began."""

from flax import traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from inception_jax import trees

# A dynamic loss scale begins at 2¹⁵: 15 overflows in a row bring it to 1.
MAX_SKIPPED_STEPS = 20


class DivergenceMonitor:
  """Looks at what `steps.health` measured in each step."""

  def __init__(self, model, config, abstract, last_good):
    """Remembers the names.

    Args:
      model: the network.
      config: the whole config, resolved.
      abstract: the shapes of its TrainState.
      last_good: called for what to say of the newest checkpoint.
    """
    self._model, self._data = model, config.data
    self._last_good = last_good
    self._skipped = 0
    self._layers = trees.leaf_names(abstract.params)
    self._stats = trees.leaf_names(abstract.batch_stats)

  def check(self, step: int, metrics: dict) -> None:
    """Looks at one step's metrics, in turn.

    Raises:
      FloatingPointError: the state after it cannot be trained any further.
    """
    skipped = metrics.get('skipped', 0)
    self._skipped = self._skipped + 1 if skipped else 0
    if skipped and self._skipped <= MAX_SKIPPED_STEPS:
      return
    bad = {kind: ~np.isfinite(x) for kind, x in metrics['health'].items()}
    if np.isfinite(metrics['loss']) and not any(x.any() for x in bad.values()):
      return
    what = f'the loss is {metrics["loss"] / max(1, metrics["count"]):.4g}'
    if skipped:
      what = f'{self._skipped} steps in a row overflowed, the last at a loss '
      what += f'scale of {metrics["loss_scale"]:g}'
    raise FloatingPointError(
      f'step {step}: {what}; the first layer that went bad is '
      f'{self._first(bad)}; {self._last_good()}'
    )

  def curves(self, health) -> dict[str, float]:
    """Norms of gradient and parameters by stage of the network."""
    values = {}
    for kind in ('grad_norms', 'param_norms'):
      squares = {}
      for name, norm in zip(self._layers, health[kind], strict=True):
        stage = name.partition('/')[0]
        squares[stage] = squares.get(stage, 0.0) + float(norm) ** 2
      values |= {f'{kind}/{k}': v**0.5 for k, v in squares.items()}
    return values

  def _first(self, bad: dict[str, np.ndarray]) -> str:
    """The layer whose activations, gradient or weights went bad first."""
    layer = lambda name: name.rpartition('/')[0]
    order = map(layer, _in_order(self._model, self._data))
    ranks = {name: i for i, name in enumerate(order)}
    of = lambda names, flags: [
      layer(n) for n, b in zip(names, flags, strict=True) if b
    ]
    if found := of(self._stats, bad['stats']):
      return f'{min(found, key=ranks.get)}, in its activations'
    # Gradients flow from the last layer to the first.
    if found := of(self._layers, bad['grad_norms']):
      return f'{max(found, key=ranks.get)}, in its gradient'
    if found := of(self._layers, bad['param_norms']):
      return f'{min(found, key=ranks.get)}, in its weights'
    return 'the loss itself'


def _in_order(model, data) -> list[str]:
  """Names of the parameters as the image meets them; jax sorts them by name."""
  found = []

  def init():
    images = jnp.zeros((1, data.image_size, data.image_size, data.channels))
    variables = model.init(jax.random.key(0), images)
    found.extend(traverse_util.flatten_dict(variables['params'], sep='/'))

  jax.eval_shape(init)
  return found

"""Stops training that diverged, and names the first bad layer."""

from flax import traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from inception_jax import trees

# A dynamic loss scale starts at 2¹⁵: 15 overflows in a row bring it to 1.
MAX_SKIPPED_STEPS = 20


class DivergenceMonitor:
  """Checks the loss and the layer norms of each step for non-finite values."""

  def __init__(self, model, data, freeze, abstract, last_good):
    """Creates the monitor.

    Args:
      model: the network.
      data: `config.data`, resolved.
      freeze: `config.fine_tune.freeze`: no norms of these parameters come.
      abstract: the shapes of the TrainState.
      last_good: returns a sentence on the newest checkpoint, for the message.
    """
    self._model, self._data = model, data
    self._last_good = last_good
    self._skipped = 0
    self._params = [
      name
      for name in trees.leaf_names(abstract.params)
      if not trees.is_frozen(name, freeze)
    ]
    self._stats = trees.leaf_names(abstract.batch_stats)

  def check(self, step: int, metrics: dict) -> None:
    """Checks one step's metrics; steps come in order.

    Raises:
      FloatingPointError: the state after the step cannot be trained further.
    """
    skipped = metrics.get('skipped', 0)
    self._skipped = self._skipped + 1 if skipped else 0
    if skipped and self._skipped <= MAX_SKIPPED_STEPS:
      return
    bad = {kind: ~np.isfinite(x) for kind, x in metrics['norms'].items()}
    if np.isfinite(metrics['loss']) and not any(x.any() for x in bad.values()):
      return
    if skipped:
      reason = (
        f'gradients overflowed in {self._skipped} steps in a row, the last at '
        f'a loss scale of {metrics["loss_scale"]:g}'
      )
    else:
      loss = metrics['loss'] / max(1, metrics['count'])
      reason = f'the loss is {loss:.4g}'
    raise FloatingPointError(
      f'training diverged at step {step}: {reason}; the first non-finite layer '
      f'is {self._first_layer(bad)}; {self._last_good()}'
    )

  def norms_by_stage(self, norms) -> dict[str, float]:
    """Returns the norms of gradients and parameters of each stage."""
    values = {}
    for kind in ('grad_norms', 'param_norms'):
      squares = {}
      for name, norm in zip(self._params, norms[kind], strict=True):
        stage = name.partition('/')[0]
        squares[stage] = squares.get(stage, 0.0) + float(norm) ** 2
      values |= {f'{kind}/{k}': v**0.5 for k, v in squares.items()}
    return values

  def _first_layer(self, bad: dict[str, np.ndarray]) -> str:
    """Returns the first layer with non-finite values, and which ones."""
    layer = lambda name: name.rpartition('/')[0]
    order = map(layer, _in_forward_order(self._model, self._data))
    ranks = {name: i for i, name in enumerate(order)}
    layers = lambda names, flags: [
      layer(n) for n, b in zip(names, flags, strict=True) if b
    ]
    if found := layers(self._stats, bad['stats']):
      return f'{min(found, key=ranks.get)}, in its activations'
    # Gradients flow from the last layer to the first.
    if found := layers(self._params, bad['grad_norms']):
      return f'{max(found, key=ranks.get)}, in its gradient'
    if found := layers(self._params, bad['param_norms']):
      return f'{min(found, key=ranks.get)}, in its weights'
    return 'the loss itself'


def _in_forward_order(model, data) -> list[str]:
  """Returns the parameters' names in the order of the forward pass.

  jax sorts them by name.
  """
  names = []

  def init():
    images = jnp.zeros((1, data.image_size, data.image_size, data.channels))
    variables = model.init(jax.random.key(0), images)
    names.extend(traverse_util.flatten_dict(variables['params'], sep='/'))

  jax.eval_shape(init)
  return names

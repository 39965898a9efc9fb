"""The networks of an evaluation, each with the views that it classifies."""

from collections.abc import Iterator

import jax
import numpy as np

from inception_jax.data import views
from inception_jax.distributed import sharding
from inception_jax.evaluation import scoring
from inception_jax.runtime import hardware


def jit_forward(config, model, mesh: jax.sharding.Mesh):
  """Returns the jitted (variables, uint8 [B, S, S, C]) → logits [B, N]."""
  return jit_of_rows(config, scoring.make_forward(config, model), mesh)


def jit_of_rows(config, forward, mesh: jax.sharding.Mesh):
  """Jits (variables, images [B, …]) → [B, …], sharded by rows."""
  rows = sharding.batch(mesh)
  return jax.jit(
    forward,
    in_shardings=(sharding.replicated(mesh), rows),
    out_shardings=rows,
    compiler_options=hardware.compiler_options(mesh, config.deterministic),
  )


class Member:
  """A network and the views of an image that it evaluates."""

  def __init__(self, config, forward, mesh, precision: str = ''):
    """Prepares the views.

    Args:
      config: resolved.
      forward: (variables, images) → outputs [B, …].
      mesh: the devices.
      precision: for the log; '': that of the config.
    """
    self.config, self._forward = config, forward
    self.precision = precision or config.precision
    # Identifies the preprocessing on the host.
    self.input = config.data.to_json()
    size = config.data.image_size
    self.views = views.views(config.data.eval_protocol, size)
    self._crop_view = jax.jit(
      scoring.crop_view,
      static_argnames='size',
      out_shardings=sharding.batch(mesh),
    )

  @classmethod
  def of(cls, config, model, mesh) -> 'Member':
    """Returns the member of a module or artifact, whose outputs are logits."""
    if hasattr(model, 'classify'):
      forward = scoring.make_artifact_forward(config, model.classify)
      return cls(config, forward, mesh, "the artifact's precision")
    return cls(config, jit_forward(config, model, mesh), mesh)

  def outputs(self, variables, canvases) -> Iterator[jax.Array]:
    """Yields the outputs of each view of a batch."""
    for view in self.views:
      images = canvases[view.canvas]
      if len(self.views) > 1:
        images = self._crop_view(
          images,
          view.square,
          np.array([view.top, view.left]),
          view.mirrored,
          size=self.config.data.image_size,
        )
      yield self._forward(variables, images)

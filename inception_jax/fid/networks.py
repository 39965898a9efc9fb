"""The networks whose features are compared, and what of them."""

from collections.abc import Callable
import dataclasses
import json
from typing import Any

import jax
import jax.numpy as jnp

from inception_jax.checkpointing import digests
from inception_jax.config import defaults
from inception_jax.data import decode
from inception_jax.data.augment import transforms
from inception_jax.errors import UserError
from inception_jax.fid import modes
from inception_jax.models import card
from inception_jax.models import factory
from inception_jax.models import features as features_lib
from inception_jax.weights import pretrained
from inception_jax.weights.convert import Weights

NETWORK = 'fid_inception_v3'
POOLED, LOGITS, SPATIAL = 'pooled', 'logits', 'spatial'
# guided-diffusion's evaluator: `mixed_6/conv:0` of the graph, [..., :7]. The
# graph counts blocks from `mixed`, here mixed_5b, and this is the first branch.
_SPATIAL_STAGE, _SPATIAL_CHANNELS = 'mixed_6d', 7


@dataclasses.dataclass(frozen=True)
class Network:
  """A network with its weights, and how images are prepared for it.

  Attributes:
    config: of the images and the precision; resolved.
    variables: {'params', 'batch_stats'}.
    prepare: see `data.pipeline.eval_batches`; makes 'image'.
    forward: names of features → (variables, images) → {name: float32 [B, D]}.
    about: what its features depend on; JSON.
    mode: one of `modes.MODES`; '' for the network's own preprocessing.
    dimension: of the pooled features.
    has_classifier: whether it has the feature `LOGITS`.
  """

  config: Any
  variables: dict[str, Any]
  prepare: Callable[[Any, Any], dict[str, Any]]
  forward: Callable[[tuple[str, ...]], Callable[[Any, Any], dict[str, Any]]]
  about: dict[str, Any]
  mode: str
  dimension: int
  has_classifier: bool

  @property
  def digest(self) -> str:
    """SHA-256 that networks and modes of other pooled features do not have."""
    return digests.with_digest(self.about)['sha256']


def of_mode(weights: Weights, mode: str) -> Network:
  """Returns the network of 2015 with the pixels of a mode.

  Its logits are without the bias (`logits_unbiased`), since all three packages
  leave it out, as the authors of the Inception Score did.

  Raises:
    UserError: the weights are of another network.
  """
  if weights.network.name != NETWORK:
    raise UserError(
      f'--weights: {weights.origin} is {weights.network.name}, and --mode is '
      f'for {NETWORK}, the network of 2015; features of others are compared by '
      '--checkpoint=PATH'
    )
  if len(weights.card.mean) != 3:
    raise UserError(f'--weights: {weights.origin} reads grey images, not RGB')
  config, model = _built(weights)
  config.data.interpolation = 'bilinear'  # JPEGs are decoded as Pillow does

  def forward(names):
    stages = {POOLED: POOLED, LOGITS: POOLED, SPATIAL: _SPATIAL_STAGE}

    def outputs(variables, images):
      wanted = {stages[name] for name in names}
      seen = features_lib.features(model, variables, images, sorted(wanted))
      of = {POOLED: lambda: seen[POOLED]}
      kernel = lambda: variables['params']['head']['dense']['kernel']
      of[LOGITS] = lambda: jnp.matmul(
        seen[POOLED], kernel(), precision=jax.lax.Precision.HIGHEST
      )
      of[SPATIAL] = lambda: seen[_SPATIAL_STAGE][..., :_SPATIAL_CHANNELS]
      return {name: _flat(of[name]()) for name in names}

    return outputs

  return Network(
    config,
    weights.variables,
    lambda image, data: modes.prepare(mode, image, data),
    forward,
    {**_about(weights), 'mode': mode},
    mode,
    _dimension(model, weights),
    bool(weights.network.num_classes),
  )


def of_own(weights: Weights) -> Network:
  """Returns any network with its own preprocessing, that of its card."""
  config, model = _built(weights)

  def forward(names):
    def outputs(variables, images):
      images = transforms.normalize(images, config.data)
      seen = features_lib.features(model, variables, images, names)
      return {name: _flat(seen[name]) for name in names}

    return outputs

  about = dataclasses.asdict(card.from_config(config.data))
  return Network(
    config,
    weights.variables,
    decode.eval_canvases,
    forward,
    {**_about(weights), 'card': about},
    '',
    _dimension(model, weights),
    bool(weights.network.num_classes),
  )


def _flat(features) -> jax.Array:
  return features.astype(jnp.float32).reshape(features.shape[0], -1)


def _built(weights: Weights):
  """Returns the config of a network, of one view, and its module."""
  config = defaults.get_config()
  config.data.channels = len(weights.card.mean)
  config.data.max_bad_fraction = 1.0  # the caller has their names
  config.deterministic = True
  config.model.update(aux_head=False, drop_path_rate=0.0)
  config = pretrained.adopt_network(config, weights)
  return config, factory.build(config, weights.network.num_classes)


def _dimension(model, weights: Weights) -> int:
  images = jax.ShapeDtypeStruct((1, *weights.card.image_shape), jnp.float32)
  headless = model.clone(num_classes=0)
  pooled, _ = jax.eval_shape(headless.apply, weights.variables, images)
  return pooled.shape[-1]


def _about(weights: Weights) -> dict[str, Any]:
  """Returns the network, and a digest of the weights below its classifier."""
  network = dataclasses.asdict(weights.network)
  below = {
    kind: {name: x for name, x in tree.items() if name not in ('head', 'aux')}
    for kind, tree in weights.variables.items()
  }
  del network['num_classes'], network['aux_head'], network['aux_batch_norm']
  about = {'network': network, 'weights_sha256': digests.of_tree(below)}
  return json.loads(json.dumps(about))

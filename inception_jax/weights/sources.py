"""Which framework's which network a file can be, and what comes with it."""

from collections.abc import Callable
import dataclasses
import re

from inception_jax.models import factory
from inception_jax.models.card import Card
from inception_jax.weights import keras_names
from inception_jax.weights import names as names_lib
from inception_jax.weights import slim_names

# Of ImageNet, in 0…255.
_IMAGENET_MEAN = (123.675, 116.28, 103.53)

_IMAGENET_STD = (58.395, 57.12, 57.375)


@dataclasses.dataclass(frozen=True)
class Style:
  """How a framework names and lays out the tensors of a unit.

  Attributes:
    conv: unit → prefix of its convolution's tensors.
    norm: unit → prefix of its BatchNorm's tensors.
    own: unit without both (a dense layer, an `up`) → prefix of its tensors.
    kernel, bias: endings of kernels and of their biases.
    scale: ending of γ; '' where the framework's networks have none.
    offset, mean, var: of β and of the moving statistics.
    oihw: kernels are [O, I, H, W] and [O, I], not [H, W, I, O] and [I, O].
    slots: what an optimizer's tensor has around the parameter's name.
  """

  conv: Callable[[str], str]
  norm: Callable[[str], str]
  own: Callable[[str], str]
  kernel: str
  bias: str
  scale: str
  offset: str
  mean: str
  var: str
  oihw: bool
  slots: str = ''


TORCH = Style(
  conv='{}.conv.'.format,
  norm='{}.bn.'.format,
  own='{}.'.format,
  kernel='weight',
  bias='bias',
  scale='weight',
  offset='bias',
  mean='running_mean',
  var='running_var',
  oihw=True,
)

MINDSPORE = dataclasses.replace(
  TORCH,
  scale='gamma',
  offset='beta',
  mean='moving_mean',
  var='moving_variance',
  slots=r'(moments|moment1|moment2|accum|stat|mean_square|mean_gradient|ema)\.',
)

# nn.Conv2dBnAct calls its BatchNorm so.
MINDSPORE_CONV_BN_ACT = dataclasses.replace(
  MINDSPORE,
  conv='{}.conv.conv.'.format,
  norm='{}.conv.batchnorm.'.format,
)

SLIM = Style(
  conv='{}/'.format,
  norm='{}/BatchNorm/'.format,
  own='{}/'.format,
  kernel='weights',
  bias='biases',
  scale='',
  offset='beta',
  mean='moving_mean',
  var='moving_variance',
  oihw=False,
  slots=r'/(RMSProp|RMSProp_1|Momentum|Adam|Adam_1)',
)


def _keras_norm(conv: str) -> str:
  if re.fullmatch(r'conv2d_\d+', conv):
    return conv.replace('conv2d', 'batch_normalization') + '/'
  return f'{conv}_bn/'


KERAS = dataclasses.replace(
  SLIM, norm=_keras_norm, kernel='kernel', bias='bias', slots=''
)


@dataclasses.dataclass(frozen=True)
class Source:
  """One network of one framework.

  Attributes:
    framework: as a person calls it.
    network: our name of it.
    style: of its names.
    names: of its units.
    card: how that framework evaluates it.
    model: further arguments of `models.create`.
  """

  framework: str
  network: str
  style: Style
  names_lib: names_lib.Names
  card: Card
  model: dict = dataclasses.field(default_factory=dict)


def _source(framework, network, style, units, model=None, **card) -> Source:
  own = factory.ARCHITECTURES[network].card
  card = dataclasses.replace(own, **card)
  return Source(framework, network, style, units, card, model or {})


_V3, _V4, _RESNET = 'inception_v3', 'inception_v4', 'inception_resnet_v2'

_SHORT_SIDE = {'crop_mode': 'short_side'}

_MINDSPORE_INPUT = {
  'mean': _IMAGENET_MEAN,
  'std': _IMAGENET_STD,
  **_SHORT_SIDE,
}

_TIMM = {'interpolation': 'bicubic', **_SHORT_SIDE}

TORCHVISION = _source(
  # The published weights want inputs in [−1, 1]: `transform_input` makes them.
  'torchvision',
  _V3,
  TORCH,
  names_lib.TORCHVISION_V3,
  count_include_pad=True,
  crop_fraction=299 / 342,
  **_SHORT_SIDE,
)

TIMM = {
  _V3: _source(
    'timm',
    _V3,
    TORCH,
    names_lib.TORCHVISION_V3,
    count_include_pad=True,
    **_TIMM,
  ),
  _V4: _source('timm', _V4, TORCH, names_lib.TIMM_V4, **_TIMM),
  _RESNET: _source(
    'timm', _RESNET, TORCH, names_lib.TIMM_RESNET, crop_fraction=0.8975, **_TIMM
  ),
}

_MINDCV = {**_MINDSPORE_INPUT, 'crop_fraction': 299 / 341}

MINDCV = {
  _V3: _source('MindCV', _V3, MINDSPORE, names_lib.MINDCV_V3, **_MINDCV),
  _V4: _source('MindCV', _V4, MINDSPORE, names_lib.MINDCV_V4, **_MINDCV),
}

# Their evaluation resizes the shorter side to 299, and crops nothing of it.
_MINDSPORE = {**_MINDSPORE_INPUT, 'crop_fraction': 1.0}

# timm and torchvision have the same names for v3: the file's format decides.
SOURCES = (
  *TIMM.values(),
  TORCHVISION,
  *MINDCV.values(),
  _source(
    'MindSpore',
    _V3,
    MINDSPORE,
    names_lib.MINDSPORE_V3,
    {'aux_batch_norm': False},
    **_MINDSPORE,
  ),
  _source(
    'MindSpore',
    _V4,
    MINDSPORE_CONV_BN_ACT,
    names_lib.MINDSPORE_V4,
    {'head_batch_norm': True},
    bn_epsilon=1e-5,
    **_MINDSPORE,
  ),
  _source('Keras', _V3, KERAS, keras_names.KERAS_V3),
  _source('Keras', _RESNET, KERAS, keras_names.KERAS_RESNET),
  _source('TF-slim', _V3, SLIM, slim_names.SLIM_V3),
  _source('TF-slim', _V4, SLIM, slim_names.SLIM_V4),
  _source('TF-slim', _RESNET, SLIM, slim_names.SLIM_RESNET),
  _source('weiaicunzai', 'cifar_inception_v3', TORCH, names_lib.CIFAR_V3),
  _source('weiaicunzai', 'cifar_inception_v4', TORCH, names_lib.CIFAR_V4),
  _source(
    'weiaicunzai', 'cifar_inception_resnet_v2', TORCH, names_lib.CIFAR_RESNET
  ),
)

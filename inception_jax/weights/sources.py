"""The networks whose weight files can be imported, framework by framework."""

from collections.abc import Callable
import dataclasses
import re
from typing import Any

from inception_jax.models import architectures
from inception_jax.models.architectures import ARCHITECTURES
from inception_jax.models.card import Card
from inception_jax.models.network_config import NetworkConfig
from inception_jax.weights import graph_names
from inception_jax.weights import keras_names
from inception_jax.weights import names as names_lib
from inception_jax.weights import numbered_names
from inception_jax.weights import slim_names

# ImageNet's channel statistics, in 0…255.
_IMAGENET_MEAN = (123.675, 116.28, 103.53)
_IMAGENET_STD = (58.395, 57.12, 57.375)


@dataclasses.dataclass(frozen=True)
class Style:
  """How a framework names its tensors and lays out its kernels.

  Attributes:
    conv_prefix: unit → prefix of its convolution, if it has a BatchNorm.
    norm_prefix: unit → prefix of its BatchNorm, if it has a convolution.
    layer_prefix: unit → prefix of its only layer: dense, convolution with a
      bias, or BatchNorm.
    kernel, bias: suffixes of kernels and their biases.
    scale: suffix of BatchNorm's γ; '' if the framework's networks have no γ.
    offset, mean, var: suffixes of BatchNorm's β and moving statistics.
    oihw: kernels are [O, I, H, W] and [O, I], not [H, W, I, O] and [I, O].
    slots: pattern of the prefix or suffix that an optimizer's slot variable
      adds to the parameter's name; '' if files hold no optimizer state.
  """

  conv_prefix: Callable[[str], str]
  norm_prefix: Callable[[str], str]
  layer_prefix: Callable[[str], str]
  kernel: str
  bias: str
  scale: str
  offset: str
  mean: str
  var: str
  oihw: bool
  slots: str = ''


TORCH = Style(
  conv_prefix='{}.conv.'.format,
  norm_prefix='{}.bn.'.format,
  layer_prefix='{}.'.format,
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
# The names of mindspore.nn.Conv2dBnAct's layers.
MINDSPORE_CONV_BN_ACT = dataclasses.replace(
  MINDSPORE,
  conv_prefix='{}.conv.conv.'.format,
  norm_prefix='{}.conv.batchnorm.'.format,
)
SLIM = Style(
  conv_prefix='{}/'.format,
  norm_prefix='{}/BatchNorm/'.format,
  layer_prefix='{}/'.format,
  kernel='weights',
  bias='biases',
  scale='',
  offset='beta',
  mean='moving_mean',
  var='moving_variance',
  oihw=False,
  slots=r'/(RMSProp|RMSProp_1|Momentum|Adam|Adam_1)',
)


# Of a frozen graph, as `graph_file` reads it.
GRAPH = dataclasses.replace(
  SLIM, norm_prefix='{}/batchnorm/'.format, scale='gamma', slots=''
)


def _keras_norm(conv: str) -> str:
  if re.fullmatch(r'conv2d_\d+', conv):
    return conv.replace('conv2d', 'batch_normalization') + '/'
  return f'{conv}_bn/'


KERAS = dataclasses.replace(
  SLIM, norm_prefix=_keras_norm, kernel='kernel', bias='bias', slots=''
)


@dataclasses.dataclass(frozen=True)
class Source:
  """One network of one framework.

  Attributes:
    framework: its name in messages.
    network_name: a key of `ARCHITECTURES`.
    style: tensor names and layout.
    names: the names of the network's units.
    card: the preprocessing of the framework's own evaluation.
    overrides: fields of the `NetworkConfig` that differ from ours.
  """

  framework: str
  network_name: str
  style: Style
  names: names_lib.Names
  card: Card
  overrides: dict[str, Any]

  def network_config(self, num_classes: int, aux_head: bool) -> NetworkConfig:
    """Returns its network with that number of classes."""
    return architectures.published(
      self.network_name, num_classes, aux_head=aux_head, **self.overrides
    )


def _source(
  framework, network_name, style, names, overrides=None, **card
) -> Source:
  """Returns a Source; `card` has the fields that differ from our own card."""
  card = dataclasses.replace(ARCHITECTURES[network_name].card, **card)
  return Source(framework, network_name, style, names, card, overrides or {})


_V3, _V4, _RESNET = 'inception_v3', 'inception_v4', 'inception_resnet_v2'
_FID = 'fid_inception_v3'
_SHORT_SIDE = {'crop_mode': 'short_side'}
_MINDSPORE_INPUT = {
  'mean': _IMAGENET_MEAN,
  'std': _IMAGENET_STD,
  'crop_mode': 'mindspore_short_side',
  'interpolation': 'opencv_bilinear',
}
_COUNTED = {'count_include_pad': True}
_TIMM = {'interpolation': 'bicubic', **_SHORT_SIDE}
TORCHVISION = _source(
  # Inputs in [−1, 1], which its `transform_input` makes for published weights.
  'torchvision',
  _V3,
  TORCH,
  names_lib.TORCHVISION_V3,
  _COUNTED,
  crop_fraction=299 / 342,
  **_SHORT_SIDE,
)
TIMM = {
  _V3: _source('timm', _V3, TORCH, names_lib.TORCHVISION_V3, _COUNTED, **_TIMM),
  _V4: _source('timm', _V4, TORCH, names_lib.TIMM_V4, **_TIMM),
  _RESNET: _source(
    'timm', _RESNET, TORCH, names_lib.TIMM_RESNET, crop_fraction=0.8975, **_TIMM
  ),
}
# Both have the whole image resized to the network's input, unfiltered. In torch
# that is F.interpolate's bilinear, which OpenCV's is but for rounding.
_WHOLE = {'crop_mode': 'squash', 'crop_fraction': 1.0}
PYTORCH_FID = _source(
  'pytorch-fid',
  _FID,
  TORCH,
  names_lib.TORCHVISION_V3,
  interpolation='opencv_bilinear',
  **_WHOLE,
)
_MINDCV = {**_MINDSPORE_INPUT, 'crop_fraction': 299 / 341}
MINDCV = {
  _V3: _source('MindCV', _V3, MINDSPORE, names_lib.MINDCV_V3, **_MINDCV),
  _V4: _source('MindCV', _V4, MINDSPORE, names_lib.MINDCV_V4, **_MINDCV),
}
# mindspore-ai/models resizes the shorter side to 299 and takes the center.
_MINDSPORE = {**_MINDSPORE_INPUT, 'crop_fraction': 1.0}
# research/slim, preprocessing/inception_preprocessing.py.
_SLIM = {'crop_mode': 'tf_central', 'interpolation': 'tf1_bilinear'}
# timm's v3 has torchvision's names: the order of `Format.frameworks` decides.
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
    {'head_batch_norm': True, 'bn_epsilon': 1e-5},
    **_MINDSPORE,
  ),
  _source('Keras', _V3, KERAS, keras_names.KERAS_V3),
  _source('Keras', _RESNET, KERAS, keras_names.KERAS_RESNET),
  _source('TF-slim', _V3, SLIM, slim_names.SLIM_V3, **_SLIM),
  _source('TF-slim', _V4, SLIM, slim_names.SLIM_V4, **_SLIM),
  _source('TF-slim', _RESNET, SLIM, slim_names.SLIM_RESNET, **_SLIM),
  # classify_image_graph_def.pb, with its nodes ResizeBilinear, Sub and Mul.
  _source(
    'TensorFlow',
    _FID,
    GRAPH,
    graph_names.INCEPTION_2015,
    mean=(128.0,) * 3,
    std=(128.0,) * 3,
    interpolation='tf1_bilinear',
    **_WHOLE,
  ),
  _source('weiaicunzai', 'cifar_inception_v3', TORCH, names_lib.CIFAR_V3),
  _source('weiaicunzai', 'cifar_inception_v4', TORCH, names_lib.CIFAR_V4),
  _source(
    'weiaicunzai', 'cifar_inception_resnet_v2', TORCH, names_lib.CIFAR_RESNET
  ),
  PYTORCH_FID,
)
# Tried where none of `SOURCES` matches.
NUMBERED_SOURCES = tuple(
  dataclasses.replace(source, names=names)
  for source, *variants in (
    (TIMM[_V3], numbered_names.NUMBERED_V3, numbered_names.NUMBERED_V3_AUX),
    (TORCHVISION, numbered_names.NUMBERED_V3, numbered_names.NUMBERED_V3_AUX),
    (PYTORCH_FID, numbered_names.FID_BLOCKS),
    (TIMM[_V4], numbered_names.NUMBERED_V4),
    (TIMM[_RESNET], numbered_names.NUMBERED_RESNET),
  )
  for names in variants
)

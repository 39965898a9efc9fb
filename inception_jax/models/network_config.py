"""The fields that determine a network's parameters and function."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
  """A network of the family; stored with every checkpoint and artifact.

  Attributes:
    name: a key of `architectures.ARCHITECTURES`.
    num_classes: width of the logits; 0 if the network has no classifier and
      returns the pooled features.
    stem: 'imagenet' or 'small'.
    width: multiplier on every channel count.
    aux_head: whether there is an auxiliary classifier, used in training only.
    aux_batch_norm: False removes BatchNorm and ReLU from that classifier.
    head_batch_norm: BatchNorm on the features and on the logits.
    bn_epsilon: added to BatchNorm's variance.
    count_include_pad: whether padded average pools count the padding.
  """

  name: str
  num_classes: int
  stem: str
  width: float = 1.0
  aux_head: bool = False
  aux_batch_norm: bool = True
  head_batch_norm: bool = False
  bn_epsilon: float = 1e-3
  count_include_pad: bool = False


# A config must agree with the weights that it loads on these fields.
STRUCTURE = ('name', 'stem', 'width', 'head_batch_norm')

"""Published figures of the networks: the README's table and `model_info`.

`tests/weights/test_catalog.py` compares the counts with the networks, and the
README with this table.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Accuracy:
  """A published accuracy; none of them has been measured by this project.

  Attributes:
    dataset: whose evaluation images these are.
    source: who published it.
    url: where; '' for the model card or README of `source`.
    top1: in percent.
    top5: in percent; None: not published.
  """

  dataset: str
  source: str
  url: str
  top1: float
  top5: float | None = None


@dataclasses.dataclass(frozen=True)
class Figures:
  """What is known of a network as published.

  Attributes:
    num_classes: that of the other counts.
    parameters: trained ones, without the auxiliary head.
    parameters_with_aux_head: None: it has none.
    flops: of one image's forward pass by JAX's cost analysis, where a
      multiplication and an addition are two; to three digits.
    accuracies: as published, with the whole network trained from scratch.
  """

  num_classes: int
  parameters: int
  parameters_with_aux_head: int | None
  flops: float
  accuracies: tuple[Accuracy, ...] = ()


_IMAGENET, _CIFAR100 = 'ImageNet-1k', 'CIFAR-100'
_WEIAICUNZAI = 'https://github.com/weiaicunzai/pytorch-cifar100'


def _imagenet(source: str, url: str, top1: float, top5: float) -> Accuracy:
  return Accuracy(_IMAGENET, source, url, top1, top5)


def _cifar100(top1: float) -> Accuracy:
  return Accuracy(_CIFAR100, 'weiaicunzai', _WEIAICUNZAI, top1)


FIGURES = {
  'inception_v3': Figures(
    1000,
    23_834_568,
    27_161_264,
    11.1e9,
    (
      _imagenet('paper', 'https://arxiv.org/abs/1512.00567', 78.8, 94.4),
      _imagenet('MindCV', '', 79.25, 94.47),
    ),
  ),
  'inception_v4': Figures(
    1000,
    42_679_816,
    46_039_280,
    23.7e9,
    (
      _imagenet('MindSpore', '', 80.09, 94.57),
      _imagenet('MindCV', '', 80.98, 95.25),
    ),
  ),
  'inception_resnet_v2': Figures(
    1000,
    55_843_464,
    59_211_120,
    26.0e9,
    (_imagenet('paper', 'https://arxiv.org/abs/1602.07261', 80.1, 95.1),),
  ),
  'fid_inception_v3': Figures(1000, 23_834_568, 27_161_264, 11.1e9),
  'cifar_inception_v3': Figures(
    100, 22_318_148, None, 6.5e9, (_cifar100(77.19),)
  ),
  'cifar_inception_v4': Figures(
    100, 41_296_516, None, 14.3e9, (_cifar100(75.86),)
  ),
  'cifar_inception_resnet_v2': Figures(
    100, 65_442_072, None, 18.4e9, (_cifar100(72.49),)
  ),
}

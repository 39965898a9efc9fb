"""The README.md of a network on the hub, with what its run has measured."""

import math
from typing import Any

from inception_jax.errors import one_line
from inception_jax.models.card import Card
from inception_jax.weights.convert import Weights

_TEXT = """---
library_name: timm
pipeline_tag: image-classification
tags:
- image-classification
- timm
- inception_jax
# The license is yours to choose:
# https://huggingface.co/docs/hub/repositories-licenses
# license: LICENSE
---

# {name}, {outputs} classes

Exported by inception_jax, in JAX and Flax; the weights have timm's names.

## Measured

{measured}

## Images

{images}

## Usage

```python
import timm

model = timm.create_model('hf-hub:OWNER/NAME', pretrained=True).eval()
config = timm.data.resolve_model_data_config(model)
transform = timm.data.create_transform(**config, is_training=False)
```

```python
import inception_jax

model, variables, card = inception_jax.load_pretrained('hf-hub:OWNER/NAME')
```
"""


def write(
  weights: Weights, pretrained: dict[str, Any], same_pixels: bool
) -> str:
  """Returns the model card of a network.

  `pretrained` is its `pretrained_cfg`, and `same_pixels` whether timm prepares
  images as the network's card says.
  """
  return _TEXT.format(
    name=weights.network.name,
    outputs=weights.network.num_classes,
    measured=_measured(weights.evaluation, weights.card.input_size),
    images=_images(weights.card, pretrained, same_pixels),
  )


def _measured(evaluation: dict[str, Any], image_size: int) -> str:
  top1, top5, count = (
    evaluation.get(key, math.nan) for key in ('top1', 'top5', 'count')
  )
  if not (math.isfinite(top1) and math.isfinite(top5) and count > 0):
    return 'The run has recorded no evaluation of these weights.'
  size = evaluation['image_size']
  rows = {
    'top-1': f'{100 * top1:.2f} %',
    'top-5': f'{100 * top5:.2f} %',
    'images': f'{count:,}',
    'image size': f'{size}×{size}',
    'split': f'`{_plain(evaluation["split"])}`',
    'views': f'`{_plain(evaluation["protocol"])}`',
    'training step': f'{evaluation["step"]:,}',
  }
  table = '| | |\n|---|---|\n'
  table += '\n'.join(f'| {key} | {value} |' for key, value in rows.items())
  if size != image_size:
    table += f'\n\nNothing was measured at {image_size}×{image_size}.'
  return table


def _plain(text: Any) -> str:
  return one_line(text).replace('`', "'").replace('|', '/')


def _images(card: Card, pretrained: dict[str, Any], same: bool) -> str:
  size = card.input_size
  mean, std = (', '.join(f'{x:g}' for x in xs) for xs in (card.mean, card.std))
  text = (
    f'{size}×{size} pixels in 0…255, normalized as (image − mean) / std with '
    f'mean {mean} and std {std}.\nThe crop is `{card.crop_mode}` with fraction '
    f'{card.crop_fraction:g}, the interpolation `{card.interpolation}`.'
  )
  if card.exif == 'apply':
    text += '\nJPEGs are turned upright by their EXIF orientation.'
  if card.background != 'none':
    text += f'\nTransparent images are laid over {card.background}.'
  if not same:
    text += (
      '\ntimm lacks some of this: its nearest, '
      f'`{pretrained["crop_mode"]}` and `{pretrained["interpolation"]}`, give '
      'other pixels,\nso that its scores may differ from those above.'
    )
  return text

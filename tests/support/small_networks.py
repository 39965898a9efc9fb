"""The published networks and recipes in small, under their own names.

For tests of commands as users type them: `install` replaces the networks in its
process, `shorten` what a recipe trains.
"""

import dataclasses
import pathlib

from inception_jax.config import recipes
from inception_jax.data.prepare import archives
from inception_jax.data.prepare import imagenet
from inception_jax.models.architectures import ARCHITECTURES
from inception_jax.models.specs import Architecture
from inception_jax.weights import sources
from tests.support.tiny import TINIEST

SIZE = 32  # of images, in place of 299
# Images that tests.support.page_sandbox writes, by split.
IMAGENET = {'train': 12, 'validation': 3}
_BODY = TINIEST.body
# TINIEST's convolutions: the stem's, and those of two branches.
_UNITS = 3


def install() -> None:
  """Gives each network three convolutions, with the first names of its files.

  Recipes by name are those in configs/ of the working folder, and ImageNet has
  the images of tests.support.page_sandbox.
  """
  recipes.folder = lambda: pathlib.Path('configs')
  ARCHITECTURES.update(networks())
  for source in {
    id(x): x for x in (*sources.SOURCES, *sources.NUMBERED_SOURCES)
  }.values():
    names = dataclasses.replace(source.names, body=source.names.body[:_UNITS])
    object.__setattr__(source, 'names', names)
    object.__setattr__(source, 'card', _small(source.card))
  imagenet.COUNTS.update(IMAGENET)
  archives.PUBLISHED.clear()


def networks() -> dict[str, Architecture]:
  """Returns each published network with TINIEST's stages."""
  return {
    name: dataclasses.replace(
      published,
      stems={stem: TINIEST.stems['small'] for stem in published.stems},
      body=_BODY,
      aux_after=published.aux_after and _BODY[-1][0],
      card=_small(published.card),
    )
    for name, published in ARCHITECTURES.items()
  }


def _small(card):
  return dataclasses.replace(card, input_size=SIZE)


def shorten(config):
  """Returns a recipe's config that trains for two steps, on small images."""
  config.batch_size = 4
  config.schedule.batch_size = min(config.schedule.batch_size, 4)
  config.train_for = '2 steps'
  config.log_every = '1 step'
  config.eval_every = config.checkpoint_every = '1000 steps'
  config.schedule.warmup = config.schedule.cold = '0 steps'
  config.data.image_size = 0
  config.data.grow_from = 0
  return config

"""Folders of plain grey images, and configs that read them."""

from PIL import Image

from configs import digits
from inception_jax.models import factory


def write_image(path, grey, mode='RGB', **kwargs):
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.new('L', (14, 12), grey).convert(mode).save(path, **kwargs)


def config_of(folder, **data):
  config = factory.resolve(digits.get_config())
  config.data.source = 'folder'
  config.data.dir = str(folder)
  config.data.image_size = 12
  config.data.eval_split = 'validation'
  config.data.update(data)
  return config

"""`synthetic`: random images, to try a setup and to measure its speed."""

from inception_jax.data.lazy import tf
from inception_jax.data.splits import Indexed

# Few for evaluation: on a CPU, a full network classifies a few per second.
SIZES = {'train': 1024, 'validation': 64, 'test': 64}


def load(config, split: str) -> Indexed:
  """Returns random images of the network's input size.

  There are `model.num_classes` classes, or 1000 where that is 0. Image and
  label are functions of the index, so that a network can memorise them.
  """
  classes = config.model.num_classes or 1000
  size = config.data.image_size
  names = tuple(f'class_{i}' for i in range(classes))

  def fetch(index):
    seed = tf.stack([index, tf.constant(split != 'train', tf.int64)])
    draw = tf.random.stateless_uniform
    # Coarse noise is cheaper to draw than fine noise, and survives cropping.
    image = draw((8, 8, 3), seed, maxval=256, dtype=tf.int32)
    image = tf.image.resize(image, (size, size), method='nearest')
    label = draw((), seed, maxval=classes, dtype=tf.int64)
    return {'image': tf.cast(image, tf.uint8), 'label': label}

  return Indexed(SIZES[split], names, fetch)

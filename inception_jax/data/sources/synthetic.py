"""`synthetic`: random images, for trying a setup and measuring its speed."""

from inception_jax.data.splits import Indexed

CLASSES = 1000

# Few for evaluation: on a CPU, a full network classifies a few a second.
SIZES = {'train': 1024, 'validation': 64, 'test': 64}


def load(config, split: str) -> Indexed:
  """Random images as large as the network's, in 1000 classes unless told.

  Image and label are functions of the index, so they can be learnt by heart,
  and no disk is read: for trying a setup and for measuring its speed.
  """
  classes = config.model.num_classes or CLASSES
  size = config.data.image_size
  names = tuple(f'class_{i}' for i in range(classes))

  def fetch(index):
    import tensorflow as tf

    seed = tf.stack([index, tf.constant(split != 'train', tf.int64)])
    # Coarse noise: cheaper to draw, and unlike fine noise it survives crops.
    image = tf.random.stateless_uniform(
      (8, 8, 3), seed, maxval=256, dtype=tf.int32
    )
    image = tf.image.resize(image, (size, size), method='nearest')
    label = tf.random.stateless_uniform(
      (), seed, maxval=classes, dtype=tf.int64
    )
    return {'image': tf.cast(image, tf.uint8), 'label': label}

  return Indexed(SIZES[split], names, fetch)

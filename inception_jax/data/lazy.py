"""TensorFlow and its datasets, imported on first use: that takes seconds."""

from etils import epy

with epy.lazy_imports():
  import tensorflow as tf
  import tensorflow_datasets as tfds

__all__ = ['tf', 'tfds']

"""Augmentation and normalization on the device: pure functions of a key and a
batch.

No TensorFlow.
"""

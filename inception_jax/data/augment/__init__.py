"""Augmentation and normalisation on the device, as pure functions of a key and
a batch.

No TensorFlow.
"""

"""From a source to batches of uint8 images on the host, and their augmentation
on the device.

Nothing that knows a network or a loss.
"""

"""The input pipeline: sources, global order, decoding and cropping to uint8 on
the host, augmentation and normalization on the device.

Nothing that knows a network or a loss.
"""

"""The device mesh, and several processes as one training: cluster detection,
a consistency check before the start, failure detection.

Nothing here knows what is trained.
"""

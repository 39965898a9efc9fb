"""The device mesh, and several processes as one training: finding the cluster,
agreeing before the start, noticing that one is gone.

Nothing that knows what is trained.
"""

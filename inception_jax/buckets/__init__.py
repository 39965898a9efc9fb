"""Buckets of object stores: their objects, a lock, and local copies of folders.

All else sees local folders. Nothing here knows about networks or checkpoints,
but for which files of a run are large and which is written last.
"""

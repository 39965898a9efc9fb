"""Checkpoints: one on disk, a run's folder of them, which one is meant, and
what may change on a resume.

The only room that imports orbax.
"""

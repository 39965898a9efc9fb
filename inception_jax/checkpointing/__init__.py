"""Checkpoints: one on disk, a run's folder of them, selecting one, and what may
change when a run resumes.

The only room that imports orbax.
"""

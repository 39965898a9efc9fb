"""Trained weights: restores runs, checkpoints and other frameworks' files, and
writes files for other frameworks.

No optimizers and no training steps.
"""

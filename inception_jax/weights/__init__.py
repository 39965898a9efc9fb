"""Trained weights from runs, checkpoints and files of other frameworks, and
back into those files.

Nothing about optimizers or steps.
"""
